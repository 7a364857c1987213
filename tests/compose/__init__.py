"""`make compose-test`: tests the deployment of docker-compose.yml on a real Docker engine, as people use it."""
