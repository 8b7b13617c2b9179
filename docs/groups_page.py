"""Writes `docs/tasks/groups.md` from the groups themselves: `python -m docs.groups_page`."""

from pathlib import Path

from tasks import Group, Member, get_group, list_groups
from tasks.catalogue import SCALED

PAGE = Path(__file__).parent / "tasks" / "groups.md"

INTRODUCTION = f"""\
# Groups

<!-- Made by `python -m docs.groups_page`; a test compares it with the groups. -->

A group is a main task at short lengths, auxiliaries that should carry it to their longer lengths, and controls that
take the auxiliaries' place and should not. All members speak one vocabulary, so models trained with the auxiliaries,
alone and with the controls have the same shape.

```python
from tasks import get_group

group = get_group("add/carry")
longer = group.with_lengths(main=24, auxiliary=48)  # the controls take the auxiliaries' length
lettered = group.with_marking("repeated")  # the task's letter four times before and after the prompt
small = get_group("add/carry{SCALED}")  # shorter lengths, fewer letters or nodes: for a processor
```

Training draws each example's length up to the greatest one given: uniformly from the task's shortest (`uniform`), or
four in five up to a quarter of the greatest, from 2 on, and the rest above (`skewed`: with 20, 80 % in 2..5 and 20 % in
6..20). Controls are the papers' own where they have one (`add/copy_first`, `copy/reverse`), and ours elsewhere; for
mazes we know of none. At which lengths Task Hinting trains its hints we could not recover: here at the main task's.
`increment/successor` is our reading of its second main task.
"""


def groups_page() -> str:
    """The page as it should be."""
    return "\n".join([INTRODUCTION, *(_section(get_group(name)) for name in list_groups())])


def _section(group: Group) -> str:
    roles = {"main": (group.main,), "auxiliary": group.auxiliaries, "control": group.controls}
    rows = [_row(role, member) for role, members in roles.items() for member in members]
    head = ["| role | task | lengths | parameters |", "|---|---|---|---|"]
    text = f"Vocabulary: {len(group.vocabulary)} tokens. Source: {group.source}."
    return "\n".join([f"## `{group.name}`", "", *head, *rows, "", text, ""])


def _row(role: str, member: Member) -> str:
    task = member.task
    own = {name: value for name, value in task.parameters.items() if name != "marking"}
    parameters = ", ".join(f"{name} {value}" for name, value in own.items()) or "none"
    lengths = f"{task.min_length if member.lengths == 'uniform' else 2} to {member.max_length}, {member.lengths}"
    return f"| {role} | [`{task.name}`]({task.name}.md) | {lengths} | {parameters} |"


if __name__ == "__main__":
    PAGE.write_text(groups_page(), encoding="utf-8")
