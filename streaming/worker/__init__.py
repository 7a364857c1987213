"""Workers: run claimed jobs, retry engines, extend leases and take over jobs of dead workers."""
