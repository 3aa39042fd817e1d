"""What names look like, for the people who are there. Nobody loses a name: of those who are called alike, one owns it."""

from django.db import migrations

from oasst.core.lookalikes import poses_as_the_house, skeleton

_BATCH = 1000
_COLUMNS = ["name_skeleton", "owns_name", "name_from", "program_beside"]


def fill(apps, schema_editor):
    User, Identity = apps.get_model("accounts", "User"), apps.get_model("accounts", "Identity")
    known_to = Identity.objects.filter(api_client__person=None).order_by("-id").values_list("user", "api_client")
    program_of = dict(known_to.iterator())  # the first program that knew the person
    names_of_programs = dict(apps.get_model("accounts", "ApiClient").objects.values_list("pk", "name"))
    sources, owned = {}, set()
    people = User.objects.filter(is_active=True).exclude(display_name="").only("display_name", "email", "role")
    # People with an office first, then whoever came first.
    for people_of_role in (people.exclude(role="general"), people.filter(role="general")):
        for batch in _batches(people_of_role.order_by("id")):
            for user in batch:
                user.name_skeleton = looks = skeleton(user.display_name)
                user.name_from_id = program_of.get(user.pk) if user.email is None else None
                user.owns_name = user.name_from_id is None and looks not in owned
                if user.owns_name:
                    owned.add(looks)
                sources.setdefault(looks, set()).add(user.name_from_id)
            User.objects.bulk_update(batch, _COLUMNS[:3])
    of_programs = User.objects.exclude(name_from=None).only("display_name", "name_skeleton", "name_from")
    for batch in _batches(of_programs.order_by("id")):
        marked = [user for user in batch if len(sources[user.name_skeleton]) > 1 or poses_as_the_house(user.display_name)]
        for user in marked:
            user.program_beside = names_of_programs[user.name_from_id]
        User.objects.bulk_update(marked, _COLUMNS[3:])


def _batches(people):
    last = None
    while batch := list((people.filter(id__gt=last) if last else people)[:_BATCH]):
        yield batch
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_names")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
