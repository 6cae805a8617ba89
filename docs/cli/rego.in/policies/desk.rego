# METADATA
# title: what an agent of the support desk may do
# custom:
#   control: ASI02
package safeconduct

import data.lib.amounts

# Whatever is in here stands in the way.
deny contains "only the desk works on tickets" if not of_the_desk

deny contains {"id": "look-first", "message": "look at the ticket before you refund"} if {
	input.action.id == "desk.refund"
	not "desk.read_ticket" in input.context.session.actions
}

deny contains {"id": "large-refund", "message": "refunds above 50 need a person's approval"} if {
	input.action.id == "desk.refund"
	amounts.large(input.context.input.amount)
}

of_the_desk if {"type": "Safeconduct::Group", "id": "desk"} in input.principal.ancestors

default decision := {"allow": false}

decision := {"allow": true, "obligations": ["log_fields:ticket"]} if count(deny) == 0

else := {
	"allow": false,
	"reasons": deny,
	"requestable": {"approvers": "principal.owner", "quorum": 1, "ttl": "15m"},
} if {
	every reason in deny { reason.id == "large-refund" }
}

else := {"allow": false, "reasons": deny}
