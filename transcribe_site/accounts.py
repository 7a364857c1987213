"""Signing in: Django's view."""

from urllib.parse import urlsplit

from django.contrib.auth.views import LoginView


class SignInView(LoginView):
    """Django's, but a `next` that names the sign-in page leads to the library: Django fails with an error 500."""

    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs give it a parameter that it has not
        address: str = super().get_redirect_url()
        return "" if urlsplit(address).path == self.request.path else address
