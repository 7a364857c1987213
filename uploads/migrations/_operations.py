"""Operations of migrations. Django takes no module whose name begins with an underscore for a migration."""

from typing import Any

from django.db.migrations import AlterField
from django.db.models import Index


class AlterToUnindexed(AlterField):
    """Alter a foreign key to `db_index=False`, and in the database only drop its index.

    Django would copy the whole table on SQLite, and on PostgreSQL check all rows against the foreign key again.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        connection, column = schema_editor.connection, model._meta.get_field(self.name).column
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for name, each in found.items():
            if each["index"] and not each["unique"] and each["columns"] == [column]:
                schema_editor.remove_index(model, Index(fields=[self.name], name=name))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        index = Index(fields=[self.name])
        index.set_name_with_model(model)
        schema_editor.add_index(model, index)
