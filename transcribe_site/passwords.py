"""Password hashing that holds no database connection."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from uploads import connections


class ReleasingPasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher. A hash takes 0.3 s of a core: a few sign-ins at once must not exhaust the pool."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        connections.release()
        return super().encode(password, salt, iterations)
