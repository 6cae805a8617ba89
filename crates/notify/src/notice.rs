//! What people are told: that somebody has to answer, where, and nothing that they could answer
//! by the message itself.

use std::sync::Arc;

use safeconduct_model::{
    AccessAnswer, AccessChange, AccessEvent, AccessRequested, Body, BrokenGlass, IdentityId,
    Passkey, Record, ReviewChange, ReviewedThing,
};
use serde_json::{Value as Json, json};

/// Longest text of one thing in a message, in characters.
const SHOWN_CHARS: usize = 200;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Somebody asks.
    Requested,
    /// Somebody asks for one more of what people were asked for already.
    Joined,
    /// Nobody answered in time, so others may.
    Escalated,
    /// It waits for people who were not told when it was made: those of a later stage or of the
    /// escalation, or of a group that is answered.
    Asked,
    /// Somebody answered.
    Answered,
    /// Nobody answered.
    Expired,
    /// It was taken back.
    Revoked,
    /// Rules were set aside.
    GlassBroken,
    /// Somebody has a new passkey: whoever did not make it has to say so.
    PasskeyRegistered,
    /// A stage of a review of rights has begun, or others are asked in it.
    ReviewAsked,
    /// A stage of a review of rights ends, and cases wait for answers.
    ReviewReminded,
    /// A review of rights is over, and waits for its owner's signature or has it.
    ReviewOver,
    /// What a review took away is asked for again and again: somebody says whether it comes back.
    RightNeeded,
}

impl NoticeKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested | Self::Joined => "access_request.requested",
            Self::Escalated => "access_request.escalated",
            Self::Asked => "access_request.asked",
            Self::Answered => "access_request.answered",
            Self::Expired => "access_request.expired",
            Self::Revoked => "access_request.revoked",
            Self::GlassBroken => "glass.broken",
            Self::PasskeyRegistered => "passkey.registered",
            Self::ReviewAsked => "review.asked",
            Self::ReviewReminded => "review.reminded",
            Self::ReviewOver => "review.over",
            Self::RightNeeded => "review.right_needed",
        }
    }

    /// Whether somebody has to do something: that goes to people too.
    pub const fn wants_someone(self) -> bool {
        matches!(
            self,
            Self::Requested
                | Self::Asked
                | Self::GlassBroken
                | Self::PasskeyRegistered
                | Self::ReviewAsked
                | Self::ReviewReminded
                | Self::RightNeeded
        )
    }
}

/// One message, before it is put into the form of its channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The id of the record: the same with every try, and after a restart.
    pub id: Arc<str>,
    /// What happened.
    pub kind: NoticeKind,
    /// When, as text.
    pub at: String,
    /// One line.
    pub title: String,
    /// The rest, line by line: what it is called, and what it is. No argument's value and no
    /// resource is in it.
    pub lines: Vec<(&'static str, String)>,
    /// What holds values: only for channels that may have them.
    pub values: Vec<(String, String)>,
    /// Where it is looked at and answered: the path after the address of this server.
    pub path: String,
}

impl Notice {
    /// What a record is worth telling, if anything.
    pub fn of(record: &Record) -> Option<Self> {
        let told = match &record.body {
            Body::AccessRequestChanged(change) => of_request(change)?,
            Body::GlassBroken(broken) => of_glass(broken),
            Body::PasskeyRegistered { passkey, by } => of_passkey(passkey, by),
            Body::ReviewChanged(change) => of_review(change)?,
            _ => return None,
        };
        let Told { kind, title, lines, values, path } = told;
        let (id, at) = (record.id.as_str().into(), record.at.to_string());
        Some(Self { id, kind, at, title, lines, values, path })
    }

    /// It as a webhook has it.
    pub(crate) fn to_json(&self, link: &str, include_values: bool) -> Json {
        let lines = self.lines.iter().map(|(name, text)| ((*name).to_owned(), json!(text)));
        let mut data: serde_json::Map<String, Json> = lines.collect();
        data.insert("link".to_owned(), json!(link));
        if include_values {
            let values = self.values.iter().map(|(name, text)| (name.clone(), json!(text)));
            data.insert("values".to_owned(), Json::Object(values.collect()));
        }
        json!({
            "type": self.kind.as_str(), "timestamp": self.at, "title": self.title, "data": data,
        })
    }

    /// It as plain text.
    pub(crate) fn to_text(&self, link: &str, include_values: bool) -> String {
        let mut text = format!("{}\n\n", self.title);
        let lines = self.lines.iter().map(|(name, value)| (*name, value));
        let values = self.values.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in lines.chain(values.filter(|_| include_values)) {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str(&format!("\n{link}\n"));
        text
    }
}

/// What a record says, before it is a notice.
struct Told {
    kind: NoticeKind,
    title: String,
    lines: Vec<(&'static str, String)>,
    values: Vec<(String, String)>,
    path: String,
}

fn of_request(change: &AccessChange) -> Option<Told> {
    let path = format!("/approve/{}", change.request);
    let request = ("request", change.request.to_string());
    let told = |kind, title: String, lines| {
        Some(Told { kind, title, lines, values: Vec::new(), path: path.clone() })
    };
    match &change.event {
        AccessEvent::Requested(asked) => {
            let mut told = requested(asked, path);
            told.lines.push(request);
            Some(told)
        }
        AccessEvent::Escalated => {
            let title = "A request was not answered in time: others may answer now".to_owned();
            told(NoticeKind::Escalated, title, vec![request])
        }
        // Who is spared for now is told later: the escalation itself asks nobody.
        AccessEvent::Asked { people } => {
            let title = "A request waits for other people now".to_owned();
            told(NoticeKind::Asked, title, vec![request, ("people", people.len().to_string())])
        }
        AccessEvent::Answered(answered) => {
            let said = match answered.answer {
                AccessAnswer::Approve { .. } => "approved",
                AccessAnswer::Refuse { .. } => "refused",
            };
            let title = format!("{} {said} a request", shown(answered.by.as_str()));
            told(NoticeKind::Answered, title, vec![request, ("answer", said.to_owned())])
        }
        AccessEvent::Expired => {
            let title = "Nobody answered a request in time: it stays denied".to_owned();
            told(NoticeKind::Expired, title, vec![request])
        }
        AccessEvent::Revoked { .. } => {
            told(NoticeKind::Revoked, "A request was taken back".to_owned(), vec![request])
        }
        AccessEvent::Spent { .. } => None,
    }
}

fn requested(asked: &AccessRequested, path: String) -> Told {
    let binding = &asked.binding;
    let (who, what) = (shown(asked.asked_by.as_str()), shown(binding.action.as_str()));
    let mut lines = vec![("asked_by", who.clone()), ("action", what.clone())];
    let mut put = |name, text: Option<String>| lines.extend(text.map(|text| (name, text)));
    put("on_behalf_of", binding.on_behalf_of.as_ref().map(|user| shown(user.as_str())));
    put("intent", binding.intent.as_ref().map(|intent| shown(intent.as_str())));
    put("task", binding.task.as_ref().map(|task| shown(task.as_str())));
    put("approvers", Some(shown(&asked.approvers)));
    put("answer_by", Some(asked.answer_by.to_string()));
    // What it is done to follows from the arguments.
    let values = binding
        .resources
        .iter()
        .enumerate()
        .map(|(n, resource)| (format!("resource_{}", n + 1), shown(&resource.to_string())));
    // Nobody is asked where a group of like requests has asked them.
    let (kind, title) = match asked.asked.is_empty() {
        true => (NoticeKind::Joined, format!("{who} asks for more of the same: {what}")),
        false => (NoticeKind::Requested, format!("{who} asks to do {what}")),
    };
    Told { kind, title, lines, values: values.collect(), path }
}

fn of_glass(broken: &BrokenGlass) -> Told {
    let (by, agent) = (shown(broken.by.as_str()), shown(broken.agent.as_str()));
    let title = format!("{by} set the rules aside for {agent}");
    let lines = vec![
        ("by", by),
        ("agent", agent),
        ("reason", shown(&broken.reason)),
        ("until", broken.until.to_string()),
    ];
    let (values, path) = (Vec::new(), "/approve".to_owned());
    Told { kind: NoticeKind::GlassBroken, title, lines, values, path }
}

/// Whose it is reads that there is one, and whether they made it.
fn of_passkey(passkey: &Passkey, by: &IdentityId) -> Told {
    let whose = shown(passkey.identity.as_str());
    let title = format!("{whose} has a new passkey; if {whose} did not make it, remove it at once");
    let lines = vec![
        ("identity", whose),
        ("name", shown(&passkey.name)),
        ("by", shown(by.as_str())),
        ("site", shown(&passkey.rp)),
    ];
    let (values, path) = (Vec::new(), "/passkeys".to_owned());
    Told { kind: NoticeKind::PasskeyRegistered, title, lines, values, path }
}

/// What a step of a review of rights is worth telling: who is asked is for the review to say, since
/// it can be many.
fn of_review(change: &ReviewChange) -> Option<Told> {
    let detail: Json = serde_json::from_str(change.detail.as_str()).unwrap_or_default();
    let number = |name: &str| detail.get(name).and_then(Json::as_u64).unwrap_or_default();
    match change.what {
        ReviewedThing::Campaign => {}
        ReviewedThing::Remediation if &*change.event == "needed" => {
            return Some(of_needed(change, number("denials")));
        }
        _ => return None,
    }
    let (kind, title) = match &*change.event {
        "stage_opened" => {
            let title = format!("A review of rights asks about {} cases", number("cases"));
            (NoticeKind::ReviewAsked, title)
        }
        "escalated" | "replaced" => {
            let title = format!("Others are asked about {} cases of a review", number("cases"));
            (NoticeKind::ReviewAsked, title)
        }
        "reminded" => {
            let people = number("people");
            let title = format!("A stage of a review ends soon: {people} people have not answered");
            (NoticeKind::ReviewReminded, title)
        }
        "signed_off" => (NoticeKind::ReviewOver, "A review of rights was signed off".to_owned()),
        _ => return None,
    };
    let lines = vec![("campaign", shown(&change.id))];
    let path = format!("/v1/campaigns/{}", change.id);
    Some(Told { kind, title, lines, values: Vec::new(), path })
}

/// What was taken away is asked for: nothing comes back by itself, since whoever is denied could
/// bring that about by asking often.
fn of_needed(change: &ReviewChange, denials: u64) -> Told {
    let holder = change.about.as_ref().map_or_else(String::new, |who| shown(who.as_str()));
    let title = format!("{holder} was denied {denials} times what a review took away");
    let lines = vec![
        ("remediation", shown(&change.id)),
        ("holder", holder),
        ("to give it back", format!("safeconduct review remediate roll-back {}", change.id)),
    ];
    let (kind, path) = (NoticeKind::RightNeeded, format!("/v1/remediations/{}", change.id));
    Told { kind, title, lines, values: Vec::new(), path }
}

/// A text that others chose, in one line, with nothing in it that a reader's screen would act on.
pub(crate) fn shown(text: &str) -> String {
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if deceives(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{RecordId, ReviewDetail, Timestamp};

    use super::*;

    #[test]
    fn people_are_told_of_a_right_that_was_needed_and_of_no_other_step() {
        let record = |event: &str, detail: &str| Record {
            id: RecordId::new("rec_1").unwrap(),
            at: Timestamp::from_millis(0),
            trace: None,
            parent: None,
            body: Body::ReviewChanged(Box::new(ReviewChange {
                what: ReviewedThing::Remediation,
                id: "rem_1".into(),
                sequence: 4,
                event: event.into(),
                about: Some(IdentityId::new("clerk").unwrap()),
                by: None,
                detail: ReviewDetail::new(detail).unwrap(),
            })),
        };
        let notice = Notice::of(&record("needed", r#"{"denials":3}"#)).unwrap();
        assert_eq!(notice.kind.as_str(), "review.right_needed");
        assert!(notice.kind.wants_someone(), "whoever is told of what waits for people");
        assert_eq!(notice.title, "clerk was denied 3 times what a review took away");
        assert_eq!(notice.path, "/v1/remediations/rem_1");
        assert!(Notice::of(&record("verified", "{}")).is_none());
    }
}
