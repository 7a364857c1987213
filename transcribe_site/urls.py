"""The root of the addresses, with the sign-in limits and access checks around Django's account views."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from streaming.live.auth import rechecks_access
from transcribe_site.accounts import SignInView
from transcribe_site.admin import autocomplete
from transcribe_site.sign_in import account_of_session, counted, limited

admin.site.autocomplete_view = autocomplete  # type: ignore[method-assign,assignment]
admin.site.login = limited(admin.site.login)  # type: ignore[method-assign,assignment]
admin.site.logout = rechecks_access(admin.site.logout)  # type: ignore[method-assign,assignment]
change_in_admin = limited(counted(rechecks_access(admin.site.password_change)), account_of_session)
admin.site.password_change = change_in_admin  # type: ignore[method-assign,assignment]
change_password = limited(counted(rechecks_access(auth.PasswordChangeView.as_view())), account_of_session)

handler500 = "transcribe_site.failures.server_error"

urlpatterns = [
    path("", include("streaming.web.urls")),
    path("", include("uploads.urls")),
    path("accounts/login/", limited(SignInView.as_view()), name="login"),
    path("accounts/logout/", rechecks_access(auth.LogoutView.as_view()), name="logout"),
    path("accounts/password/", change_password, name="password_change"),
    path("accounts/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("admin/engines/", include("streaming.admin.engines")),
    path("admin/", admin.site.urls),
]
