"""A directory of others (scim2-tester) against /scim/v2: BASE_URL TOKEN."""

import json
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

base_url, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}
with httpx2.Client(base_url=f"{base_url}/scim/v2", headers=headers) as http:
    results = check_server(SyncSCIMClient(http))
wrong = [
    f"{result.status.name} {result.title}: {result.reason}"
    for result in results
    if result.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)
]
print(json.dumps({"checks": len(results), "wrong": wrong}))
