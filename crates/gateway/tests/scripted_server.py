"""An MCP server over standard streams that misbehaves on request: a tool's name says how.

Revision 2025-11-25, or 2026-07-28 with the argument `modern`; `log=FILE` keeps the methods that
come in. Standard library only.
"""
import json
import os
import sys
import time

MODERN = "modern" in sys.argv
TOOLS = ["echo", "die", "silent", "twice", "garbage", "broken", "huge", "fails", "slow", "ask",
         "progress", "environment", "swap", "secrets", "wants", "wants_badly",
         "wants_oddly", "wants_both", "broken_request", "flood", "deaf", "patient", "reveal",
         "safeconduct_end_task", "safeconduct_other", "afterthought", "sees"]
WANTED = {"resultType": "input_required", "requestState": "s", "inputRequests": {
    "a": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}}}
# What it says by itself: in its greeting, where it is told to greet, and in its lists.
SAYS = next((argument[5:] for argument in sys.argv if argument.startswith("says=")), None)
LOG = next((argument[4:] for argument in sys.argv if argument.startswith("log=")), None)
swapped = False
seen = []
calls = 0
greeted = 0


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def describe(name):
    text = "changed" if swapped and name == "echo" else "a tool"
    tool = {"name": name, "description": text, "inputSchema": {"type": "object"}}
    if name == "echo":
        tool["inputSchema"] = {"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}}}
    return tool


def finish(result):
    if MODERN:
        result["resultType"] = "complete"
    return result


def text(value):
    return finish({"content": [{"type": "text", "text": value}]})


def wait_for(wanted):
    """Reads on until a message fits."""
    for line in sys.stdin:
        message = json.loads(line)
        if wanted(message):
            return message
    sys.exit(0)


def call(id, params):
    global swapped, calls
    calls += 1
    name, arguments = params["name"], params.get("arguments", {})
    if name == "echo":
        send({"jsonrpc": "2.0", "id": id, "result": text(json.dumps(params, sort_keys=True))})
    elif name == "die":
        os._exit(3)
    elif name == "silent":
        pass
    elif name == "twice":
        for n in (1, 2):
            send({"jsonrpc": "2.0", "id": id, "result": text(f"answer {n}")})
    elif name == "garbage":
        sys.stdout.write("this is no message\n")
        sys.stdout.flush()
    elif name == "broken":
        sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":{"content":[],"content":[]}}\n' % id)
        sys.stdout.flush()
    elif name == "huge":
        sys.stdout.write('{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"')
        for _ in range(100):
            sys.stdout.write("x" * 1_000_000)
        sys.stdout.write('"}]},"id":%d}\n' % id)
        sys.stdout.flush()
    elif name == "fails":
        send({"jsonrpc": "2.0", "id": id, "error": {"code": -32050, "message": "it failed"}})
    elif name == "slow":
        with open(arguments["started"], "w"):
            pass
        while not os.path.exists(arguments["go"]):
            time.sleep(0.01)
        send({"jsonrpc": "2.0", "id": id, "result": text("done at last")})
    elif name == "ask":
        send({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {
            "message": "who?", "requestedSchema": {"type": "object", "properties": {}}}})
        answer = wait_for(lambda m: m.get("id") == "q1")
        send({"jsonrpc": "2.0", "id": id, "result": text(json.dumps(answer, sort_keys=True))})
    elif name == "progress":
        token = params.get("_meta", {}).get("progressToken")
        note = {"progressToken": token, "progress": 1}
        if "says" in arguments:
            note["message"] = arguments["says"]
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": note})
        if arguments.get("dies"):
            os._exit(1)
        send({"jsonrpc": "2.0", "id": id, "result": text("progressed")})
    elif name == "afterthought":
        send({"jsonrpc": "2.0", "id": id, "result": text("done")})
        send({"jsonrpc": "2.0", "method": "notifications/message",
              "params": {"level": "info", "data": arguments["says"]}})
    elif name == "sees":
        send({"jsonrpc": "2.0", "id": id, "result": text(json.dumps(seen))})
    elif name == "environment":
        send({"jsonrpc": "2.0", "id": id, "result": text(json.dumps(sorted(os.environ)))})
    elif name == "swap":
        swapped = True
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        send({"jsonrpc": "2.0", "id": id, "result": text("swapped")})
    elif name == "secrets":
        secret = {"name": "Ada", "ssn": "123-45-6789"}
        result = text(json.dumps(secret))
        result["structuredContent"] = secret
        send({"jsonrpc": "2.0", "id": id, "result": result})
    elif name == "flood":
        for n in range(arguments["asks"]):
            send({"jsonrpc": "2.0", "id": f"f{n}", "method": "elicitation/create", "params": {
                "message": "who?", "requestedSchema": {"type": "object", "properties": {}}}})
        for _ in range(arguments["refused"]):
            wait_for(lambda m: "error" in m)
        send({"jsonrpc": "2.0", "id": id, "result": text("enough")})
    elif name == "deaf":
        for n in range(arguments["asks"]):
            send({"jsonrpc": "2.0", "id": f"d{n}", "method": "ping"})
        answers = []
        with open(arguments["started"], "w"):
            pass
        other = wait_for(lambda m: "method" in m or answers.append(m))
        send({"jsonrpc": "2.0", "id": id, "result": text(str(len(answers)))})
        call(other["id"], other["params"])
    elif name == "patient":
        with open(arguments["started"], "w"):
            pass
        how = "closed"
        for line in sys.stdin:
            if json.loads(line).get("method") == "notifications/cancelled":
                how = "cancelled"
                break
        with open(arguments["ended"] + ".new", "w") as file:
            file.write(how)
        os.rename(arguments["ended"] + ".new", arguments["ended"])
    elif name == "reveal":
        secret = os.environ.get("API_KEY", "none")
        print(secret, "is the key", file=sys.stderr)
        print("the rest of", secret, file=sys.stderr, flush=True)
        token = params.get("_meta", {}).get("progressToken")
        if token is not None:
            send({"jsonrpc": "2.0", "method": "notifications/progress",
                  "params": {"progressToken": token, "progress": 1, "message": secret}})
        send({"jsonrpc": "2.0", "method": "notifications/message",
              "params": {"level": "info", "data": {secret: [secret, json.dumps(params)]}}})
        if arguments.get("fails"):
            send({"jsonrpc": "2.0", "id": id, "error": {
                "code": -32050, "message": f"bad key {secret}", "data": {"key": secret}}})
        else:
            result = text(json.dumps({"pid": os.getpid(), "environment": dict(os.environ),
                                      "params": params}))
            result["structuredContent"] = {"key": secret, "params": params}
            send({"jsonrpc": "2.0", "id": id, "result": result})
    elif name == "broken_request":
        sys.stdout.write('{"jsonrpc":"2.0","id":%d,"method":"ping","params":{"a":1,"a":2}}\n' % id)
        send({"jsonrpc": "2.0", "id": id, "result": text("answered all the same")})
    elif name == "wants" and "inputResponses" in params:
        send({"jsonrpc": "2.0", "id": id, "result": text("given")})
    elif name in ("wants", "wants_badly", "wants_oddly", "wants_both"):
        send({"jsonrpc": "2.0", "id": id, "result": {**WANTED, **{
            "wants": {},
            "wants_badly": {"inputRequests": list(WANTED["inputRequests"].values())},
            "wants_oddly": {"resultType": "odd"},
            "wants_both": {"inputRequests": {
                "0": {"method": "elicitation/create", "params": {
                    "message": "who?", "requestedSchema": {"type": "object", "properties": {}}}},
                **WANTED["inputRequests"]}}}[name]}})
    else:
        send({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "no such tool"}})


def greet(message):
    global greeted
    id, method, params = message["id"], message["method"], message.get("params", {})
    if method == "initialize" and not MODERN:
        wanted = params["protocolVersion"]
        spoken = wanted if wanted in ("2025-06-18", "2025-11-25") else "2025-11-25"
        result = {"protocolVersion": spoken, "capabilities": {"tools": {"listChanged": True}},
                  "serverInfo": {"name": "scripted", "version": "1"}}
        if "greets" in sys.argv:
            result["instructions"] = SAYS
        return result
    if method == "server/discover" and MODERN:
        greeted += 1
        if greeted > 1:
            return WANTED
        return finish({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                       "ttlMs": 1000, "cacheScope": "public"})
    if method == "tools/list":
        result = {"tools": [describe(name) for name in TOOLS]}
        if MODERN:
            result.update(ttlMs=1000, cacheScope="public")
        return finish(result)
    if method == "resources/list" and SAYS:
        return {"resources": [{"uri": "u:x", "name": SAYS}], "nextCursor": "more"}
    if method in ("resources/subscribe", "resources/unsubscribe") and not MODERN:
        return {}
    if method == "resources/list":
        return WANTED
    if method == "resources/read":
        return finish({"contents": [{"uri": params["uri"], "text": "read"}]})
    if method == "ping" and not MODERN:
        return {}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if LOG:
        with open(LOG, "a") as log:
            log.write(message.get("method", "an answer") + "\n")
    seen.append(message)
    if "method" not in message or "id" not in message:
        continue
    if message["method"] == "tools/call":
        call(message["id"], message["params"])
        continue
    result = greet(message)
    if result is None:
        send({"jsonrpc": "2.0", "id": message["id"],
              "error": {"code": -32601, "message": "method not found"}})
    else:
        send({"jsonrpc": "2.0", "id": message["id"], "result": result})
