"""The front door: where each address goes."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from transcribe_site.accounts import SignInView, ends_sessions
from transcribe_site.sign_in import limited

for name in ("logout", "password_change"):
    setattr(admin.site, name, ends_sessions(getattr(admin.site, name)))

admin.site.login = limited(admin.site.login)  # type: ignore[method-assign,assignment]

handler500 = "transcribe_site.failures.server_error"

urlpatterns = [
    path("", include("streaming.urls")),
    path("", include("uploads.urls")),
    path("accounts/login/", limited(SignInView.as_view()), name="login"),
    path("accounts/logout/", ends_sessions(auth.LogoutView.as_view()), name="logout"),
    path("accounts/password/", ends_sessions(auth.PasswordChangeView.as_view()), name="password_change"),
    path("accounts/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("admin/engines/", include("streaming.admin.engines")),
    path("admin/", admin.site.urls),
]
