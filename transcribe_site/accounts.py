"""The sign-in view, used by `urls.py`."""

from urllib.parse import urlsplit

from django.contrib.auth.views import LoginView


class SignInView(LoginView):
    """Django's view. A `next` that names the sign-in page leads to the library: Django answers it with status 500."""

    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs add a parameter that does not exist
        address: str = super().get_redirect_url()
        return "" if urlsplit(address).path == self.request.path else address
