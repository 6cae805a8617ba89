//! Notices, in the program's terms, and how they are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::notify_form::{ChannelForm, MailForm, NotifyForm};
use super::read::join;
use super::signals_form::ReachForm;
use super::targets::is_local;
use crate::document::{Diagnostic, Document};

/// Who is told when somebody has to answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifyConfig {
    /// What links begin with, without slash at its end.
    pub base_url: Option<String>,
    /// Where messages go.
    pub channels: BTreeMap<String, Channel>,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// How.
    pub way: Way,
    /// Whether arguments are in the message.
    pub include_arguments: bool,
    /// How often it is tried; 8 where nothing is said.
    pub tries: u32,
    /// How long a try may take, in seconds; 10 where nothing is said.
    pub timeout_s: u32,
    /// Where we may post to.
    pub reach: ReachForm,
}

/// How a message goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A signed webhook.
    Webhook {
        /// Where.
        url: String,
        /// The file of the secret.
        secret_file: PathBuf,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// The file of its address.
        url_file: PathBuf,
    },
    /// Mail.
    Mail(Mail),
}

/// Mail, by SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS is needed. Without it, the server is on this machine.
    pub tls: bool,
    /// Who we are there, and the file of the password.
    pub login: Option<(String, PathBuf)>,
    /// Who writes.
    pub from: String,
    /// Who reads.
    pub to: Vec<String>,
}

/// The notices of a file.
pub(super) fn notify<T>(
    document: &Document<T>,
    form: NotifyForm,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> NotifyConfig {
    let mut channels = BTreeMap::new();
    for (name, form) in form.channels {
        match channel(form, folder) {
            Ok(channel) => drop(channels.insert(name, channel)),
            Err(Fault(field, message, help)) => {
                let pointer = format!("/notify/channels/{name}{field}");
                let message = format!("channel `{name}` {message}");
                problems.push(document.problem(&pointer, message).with_help(help));
            }
        }
    }
    if form.base_url.is_none() && !channels.is_empty() {
        let problem = document.problem("/notify", "messages have nothing to link to");
        problems.push(problem.with_help("write `base_url: https://HOST`"));
    }
    let base_url = form.base_url.map(|url| url.trim_end_matches('/').to_owned());
    NotifyConfig { base_url, channels }
}

/// What is wrong: the field, the problem, and what to do.
struct Fault(&'static str, &'static str, &'static str);

fn channel(form: ChannelForm, folder: &Path) -> Result<Channel, Fault> {
    let way = match (form.webhook, form.slack, form.mail) {
        (Some(webhook), None, None) => {
            Way::Webhook { url: webhook.url, secret_file: join(folder, &webhook.secret_file) }
        }
        (None, Some(slack), None) => Way::Slack { url_file: join(folder, &slack.url_file) },
        (None, None, Some(mail)) => Way::Mail(self::mail(mail, folder)?),
        _ => {
            let help = "write one of `webhook:`, `slack:` and `mail:`";
            return Err(Fault("", "must go one way", help));
        }
    };
    Ok(Channel {
        way,
        include_arguments: form.include_arguments,
        tries: form.tries.unwrap_or(8),
        timeout_s: form.timeout_s.unwrap_or(10),
        reach: form.fetch,
    })
}

fn mail(form: MailForm, folder: &Path) -> Result<Mail, Fault> {
    if !form.tls && !is_local(&form.host) {
        let help = "`tls: false` is for a server on this machine";
        return Err(Fault("/mail/tls", "would send mail without TLS", help));
    }
    let login = match (form.user, form.password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => Some((user, join(folder, &file))),
        _ => return Err(Fault("/mail", "has half a login", "write `user:` and `password_file:`")),
    };
    let Some(_) = form.to.first() else {
        return Err(Fault("/mail/to", "has no reader", "write at least one address"));
    };
    let (host, port, tls) = (form.host, form.port, form.tls);
    Ok(Mail { host, port, tls, login, from: form.from, to: form.to })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::parse;

    fn read(channel: &str) -> Result<(), Vec<String>> {
        let text = format!(
            "version: 1\nnotify: {{ base_url: 'https://us.example', channels: {{ a: {channel} }} }}\n"
        );
        let read = parse("safeconduct.yaml", &text, Path::new("/etc"));
        read.map(drop).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn channels_are_read() {
        for good in [
            "{ webhook: { url: 'https://a.example/hook', secret_file: a.key }, tries: 3 }",
            "{ slack: { url_file: slack.url }, include_arguments: true }",
            "{ mail: { host: mail.example, from: a@b.example, to: [c@d.example] } }",
            "{ mail: { host: 127.0.0.1, port: 25, tls: false, from: a@b.example, to: [c@d.e] } }",
        ] {
            assert_eq!(read(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for bad in [
            "{}",
            "{ slack: { url_file: a }, webhook: { url: 'https://a', secret_file: b } }",
            "{ mail: { host: mail.example, tls: false, from: a@b.c, to: [d@e.f] } }",
            "{ mail: { host: mail.example, user: a, from: a@b.c, to: [d@e.f] } }",
            "{ mail: { host: mail.example, from: a@b.c, to: [] } }",
            "{ slack: { url_file: a }, tries: 0 }",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
