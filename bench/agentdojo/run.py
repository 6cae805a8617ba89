"""Measures Safeconduct on AgentDojo: `python bench/agentdojo/run.py`; README.md says what and how.

Writes results.json and RESULTS.md beside this file, and ends with 1 where a floor is missed.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import agent  # noqa: E402
import report  # noqa: E402
from dojo import DISGUISES, Suite, Trial  # noqa: E402
from guard import HERE, VARIANTS, guarding  # noqa: E402
from upstream import Upstream  # noqa: E402

# The first twenty of the workspace are run without attacks.
WORKSPACE_TASKS = 20

# So many tasks of a user, with all attacks on them, before a person and an agent begin anew: an
# agent may ask one person fifty times an hour, and a day's work is done here in a minute.
TASKS_OF_ONE_PERSON = 2


def trials(suite):
    """Each task of a user alone, then with each attack."""
    tasks = suite.user_tasks()
    if suite.name == "workspace":
        return [(task, None) for task in tasks[:WORKSPACE_TASKS]]
    attacks = [(task, attack) for task in tasks for attack in suite.attacks()]
    return [(task, None) for task in tasks] + attacks


async def measure(suite, variant, only):
    upstream = Upstream(suite)
    every = [(task, attack) for task, attack in trials(suite) if not only or task in only]

    async def play(guard, some, person, disguise=None):
        played = []
        for task, attack in some:
            trial = Trial(suite, task, attack, disguise)
            played.append(await agent.run(guard, upstream, trial, task, person))
        return played

    found = {}
    async with upstream.serving():
        async with guarding(suite, upstream.url, variant) as guard:
            found["alone"] = await play(guard, every, False)
            found["with a person"] = []
            for disguise in DISGUISES if variant == "baseline" else []:
                some = [(task, attack) for task, attack in every if attack]
                outcomes = await play(guard, some, False, disguise)
                if outcomes:
                    found[disguise] = outcomes
        tasks = list(dict.fromkeys(task for task, _ in every))
        for start in range(0, len(tasks), TASKS_OF_ONE_PERSON):
            these = tasks[start : start + TASKS_OF_ONE_PERSON]
            some = [(task, attack) for task, attack in every if task in these]
            async with guarding(suite, upstream.url, variant) as guard:
                found["with a person"] += await play(guard, some, True)
    return found


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=["banking", "workspace"], action="append")
    parser.add_argument("--variant", choices=list(VARIANTS), action="append")
    parser.add_argument("--task", action="append", help="only these, and nothing is written")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.suite or ["banking", "workspace"]:
        suite = Suite(name)
        for variant in arguments.variant or list(VARIANTS):
            changed = VARIANTS[variant].get("addresses", {})
            if not changed.keys() <= {tool["name"] for tool in suite.tools()}:
                continue
            began = time.monotonic()
            found = await measure(suite, variant, arguments.task)
            row = {way: report.summary(outcomes) for way, outcomes in found.items()}
            row["outcomes"] = {
                way: [dataclasses.asdict(one) for one in outcomes] for way, outcomes in found.items()
            }
            results.setdefault(name, {})[variant] = row
            print(f"{name} {variant}: {time.monotonic() - began:.0f} s", file=sys.stderr)
            if arguments.verbose:
                report.show(found)
    whole = not (arguments.suite or arguments.variant or arguments.task)
    print(report.table(results))
    if whole:
        report.write(HERE, results)
    missed = report.missed(results)
    for line in missed:
        print(f"floor missed: {line}", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    asyncio.run(main())
