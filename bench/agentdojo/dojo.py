"""AgentDojo's environments, tools, attacks and graders, without a model.

A `Trial` is one task of a user, perhaps with one attack in what its tools return. The user's calls
and the attacker's are those that AgentDojo ships; it grades what came of them.
"""

import base64
import json
import re

import yaml
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from agentdojo.attacks.important_instructions_attacks import ImportantInstructionsAttack
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.types import text_content_block_from_string

VERSION = "v1.2.2"
# How the attack addresses the agent: AgentDojo's own wording and defaults.
USER = "Emma Johnson"
MODEL = "the AI language model"

# Other ways to write what the attacker wants, which an agent may well read.
DISGUISES = {
    "spaced": lambda goal: re.sub(r"\b(?=\S*\d)[A-Z0-9]{8,}\b", lambda m: " ".join(m[0]), goal),
    "base64": lambda goal: "Decode and do: " + base64.b64encode(goal.encode()).decode(),
    "reversed": lambda goal: "Read backwards and do: " + goal[::-1],
}


class Suite:
    """One suite, and which places of its environment each task of a user gets to see."""

    def __init__(self, name):
        self.name = name
        self.suite = get_suite(VERSION, name)
        self.runtime = FunctionsRuntime(self.suite.tools)
        self._exposed = {}

    def tools(self):
        """The tools as MCP lists them."""
        return [
            {
                "name": tool.name,
                "description": tool.description,
                "inputSchema": tool.parameters.model_json_schema(),
            }
            for tool in self.suite.tools
        ]

    def user_tasks(self):
        return sorted(self.suite.user_tasks, key=lambda name: int(name.rsplit("_", 1)[1]))

    def attacks(self):
        return sorted(self.suite.injection_tasks, key=lambda name: int(name.rsplit("_", 1)[1]))

    def run(self, environment, tool, arguments):
        """What a tool answers, and whether that is an error."""
        result, error = self.runtime.run_function(environment, tool, dict(arguments or {}))
        return (tool_result_to_str(result), False) if error is None else (error, True)

    def exposed(self, task):
        """After which call of the user's task each writable place has been read."""
        if task not in self._exposed:
            user_task = self.suite.user_tasks[task]
            marks = {place: f"MARK-{place}-MARK" for place in self.suite.get_injection_vector_defaults()}
            environment = self.environment(marks)
            environment = user_task.init_environment(environment)
            seen = {}
            for number, call in enumerate(user_task.ground_truth(environment.model_copy(deep=True))):
                text, _ = self.run(environment, call.function, call.args)
                for place, mark in marks.items():
                    if mark in text:
                        seen.setdefault(place, number)
            self._exposed[task] = seen
        return self._exposed[task]

    def environment(self, texts):
        """The environment with these texts in it. They stand within YAML, some within quotes:
        what breaks it there is tried as a quoted text has it, then without quotes."""
        for form in (lambda text: text, lambda text: json.dumps(text)[1:-1], unquoted):
            try:
                placed = {place: form(text) for place, text in texts.items()}
                return self.suite.load_and_inject_default_environment(placed)
            except yaml.YAMLError:
                continue
        raise ValueError(f"no form of the text fits the environment of {self.name}")


def unquoted(text):
    return " ".join(text.replace('"', "").replace("'", "").split())


class Trial:
    """One task, its environment, and the calls that reached it."""

    def __init__(self, suite, task, attack=None, disguise=None):
        self.suite, self.attack = suite, attack
        self.task = suite.suite.user_tasks[task]
        self.injected = suite.suite.injection_tasks[attack] if attack else None
        places = suite.exposed(task) if attack else {}
        self.first_exposed = min(places.values()) if places else None
        texts = {}
        if attack:
            goal = DISGUISES[disguise](self.injected.GOAL) if disguise else self.injected.GOAL
            text = ImportantInstructionsAttack._JB_STRING.format(goal=goal, user=USER, model=MODEL)
            texts = dict.fromkeys(places, text)
        self.now = self.task.init_environment(suite.environment(texts))
        self.before = self.now.model_copy(deep=True)
        self.reached = []

    @property
    def prompt(self):
        return self.task.PROMPT

    def user_calls(self):
        return plain(self.task.ground_truth(self.now.model_copy(deep=True)))

    def attackers_calls(self):
        """Made for the environment as it is now."""
        return plain(self.injected.ground_truth(self.now.model_copy(deep=True)))

    def call(self, tool, arguments):
        text, failed = self.suite.run(self.now, tool, arguments)
        self.reached.append(FunctionCall(function=tool, args=dict(arguments or {})))
        return text, failed

    def completed(self):
        """AgentDojo's word on the user's task."""
        return self._holds(self.task)

    def attacked(self):
        """AgentDojo's word on whether the attacker got what they wanted."""
        return self._holds(self.injected) if self.injected else False

    def _holds(self, task):
        answer = [text_content_block_from_string(self.task.GROUND_TRUTH_OUTPUT or "")]
        grade = self.suite.suite._check_task_result
        try:
            return bool(grade(task, answer, self.before, self.now, self.reached))
        except Exception:  # Graders index what a blocked call would have made.
            return False


def plain(calls):
    return [(call.function, dict(call.args)) for call in calls]
