"""What names look like, for the people who are there. Nobody loses a name: of those who are called alike, one owns it.

People are added and named meanwhile: each batch is a transaction of its own, and what was filled stays. So it can be
stopped at any moment and run again.
"""

from django.db import migrations, transaction

from oasst.core.text.lookalikes import impersonates_staff, skeleton

_BATCH = 1000
_COLUMNS = ["name_skeleton", "owns_name", "name_from", "program_beside"]


def fill(apps, schema_editor):
    User, Identity = apps.get_model("accounts", "User"), apps.get_model("accounts", "Identity")
    known_to = Identity.objects.filter(api_client__person=None).order_by("-id").values_list("user", "api_client")
    program_of = dict(known_to.iterator())  # the first program that knew the person
    names_of_programs = dict(apps.get_model("accounts", "ApiClient").objects.values_list("pk", "name"))
    filled = User.objects.exclude(name_skeleton="")
    owned = set(filled.filter(owns_name=True).values_list("name_skeleton", flat=True))
    sources = {}
    for looks, program in filled.values_list("name_skeleton", "name_from"):
        sources.setdefault(looks, set()).add(program)

    def name(batch):
        for user in batch:
            user.name_skeleton = looks = skeleton(user.display_name)
            user.name_from_id = program_of.get(user.pk) if user.email is None else None
            user.owns_name = user.name_from_id is None and looks not in owned
            if user.owns_name:
                owned.add(looks)
            sources.setdefault(looks, set()).add(user.name_from_id)
        User.objects.bulk_update(batch, _COLUMNS[:3])

    def show_programs(batch):
        alike = [user for user in batch if len(sources.get(user.name_skeleton, ())) > 1]
        marked = {*alike, *(user for user in batch if impersonates_staff(user.display_name))}
        for user in marked:
            user.program_beside = names_of_programs[user.name_from_id]
        User.objects.bulk_update(marked, _COLUMNS[3:])

    people = User.objects.filter(is_active=True, name_skeleton="").exclude(display_name="")
    people = people.only("display_name", "email", "role")
    # People with an office first, then whoever came first.
    _in_batches(people.exclude(role="general"), name)
    _in_batches(people.filter(role="general"), name)
    _in_batches(User.objects.exclude(name_from=None).only("display_name", "name_skeleton", "name_from"), show_programs)


def _in_batches(people, work):
    """Work on all of them in the order in which they came, each batch locked in a transaction of its own."""
    batch, last = True, None
    while batch:
        with transaction.atomic():
            rest = people.filter(id__gt=last) if last else people
            batch = list(rest.order_by("id").select_for_update(no_key=True)[:_BATCH])
            work(batch)
        last = batch[-1].pk if batch else None


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0009_names")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
