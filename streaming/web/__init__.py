"""The pages of recordings and jobs, and their forms."""
