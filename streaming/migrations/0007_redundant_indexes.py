import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from uploads.migrations._operations import AlterToUnindexed


class Migration(migrations.Migration):

    dependencies = [
        ('streaming', '0006_lost_workers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AlterToUnindexed(
            model_name='job',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to=settings.AUTH_USER_MODEL),
        ),
        AlterToUnindexed(
            model_name='segment',
            name='job',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='segments', to='streaming.job'),
        ),
    ]
