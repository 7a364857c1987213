import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from uploads.migrations._operations import AlterToUnindexed


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0005_is_playable'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AlterToUnindexed(
            model_name='trackwaveform',
            name='upload',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='track_waveforms', to='uploads.upload'),
        ),
        AlterToUnindexed(
            model_name='upload',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to=settings.AUTH_USER_MODEL),
        ),
    ]
