"""`make compose-test`: the deployment of docker-compose.yml on a real Docker engine, used as people use it."""
