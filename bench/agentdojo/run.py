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


def trials(suite):
    """Each task of a user alone, then with each attack."""
    tasks = suite.user_tasks()
    if suite.name == "workspace":
        return [(task, None) for task in tasks[:WORKSPACE_TASKS]]
    attacks = [(task, attack) for task in tasks for attack in suite.attacks()]
    return [(task, None) for task in tasks] + attacks


async def measure(suite, variant, only):
    upstream = Upstream(suite)
    found = {}
    async with upstream.serving(), guarding(suite, upstream.url, variant) as guard:
        for person in (False, True):
            outcomes = []
            for task, attack in trials(suite):
                if only and task not in only:
                    continue
                trial = Trial(suite, task, attack)
                outcomes.append(await agent.run(guard, upstream, trial, task, person))
            found["with a person" if person else "alone"] = outcomes
        for disguise in DISGUISES if variant == "baseline" else []:
            outcomes = []
            for task, attack in trials(suite):
                if attack and not (only and task not in only):
                    trial = Trial(suite, task, attack, disguise)
                    outcomes.append(await agent.run(guard, upstream, trial, task, False))
            if outcomes:
                found[disguise] = outcomes
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
