//! Mail, by SMTP.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use safeconduct_service::Awaited;
use safeconduct_wire::config::Mail;
use zeroize::Zeroizing;

use crate::lane::{Tells, Tried};
use crate::notice::Notice;

/// The port on which a server speaks TLS from the start.
const SMTPS: u16 = 465;

/// Someone who is told by mail.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    base: String,
    include_values: bool,
    within: Duration,
}

impl Mailer {
    /// Of a configuration.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(crate) fn new(
        mail: &Mail,
        password: Option<Zeroizing<String>>,
        within: Duration,
        base: &str,
        include_values: bool,
    ) -> Result<Self, String> {
        let mailbox = |text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("`{text}` is no address: {error}"))
        };
        let tls = match (mail.tls, mail.port) {
            (false, _) => Tls::None,
            (true, port) => {
                let parameters = TlsParameters::new(mail.host.clone());
                let parameters = parameters.map_err(|error| error.to_string())?;
                if port == SMTPS { Tls::Wrapper(parameters) } else { Tls::Required(parameters) }
            }
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mail.host.as_str());
        let mut builder = builder.port(mail.port).tls(tls).timeout(Some(within));
        if let (Some((user, _)), Some(password)) = (&mail.login, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.to_string()));
        }
        Ok(Self {
            transport: builder.build(),
            from: mailbox(&mail.from)?,
            to: mail.to.iter().map(mailbox).collect::<Result<_, _>>()?,
            base: base.to_owned(),
            include_values,
            within,
        })
    }

    fn message(&self, notice: &Notice) -> Result<Message, String> {
        let link = format!("{}{}", self.base, notice.path);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(format!("Safeconduct: {}", notice.title))
            // The same with every try, so that a reader's program can tell.
            .message_id(Some(format!("<{}@safeconduct>", notice.id)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let text = SinglePart::plain(notice.to_text(&link, self.include_values));
        let message = builder.multipart(MultiPart::mixed().singlepart(text));
        message.map_err(|error| error.to_string())
    }
}

impl Tells<Notice> for Mailer {
    fn tell<'a>(&'a self, notice: &'a Notice) -> Awaited<'a, Tried> {
        Awaited::of(async move {
            let message = match self.message(notice) {
                Ok(message) => message,
                Err(why) => return Tried::Never(why),
            };
            // The timeout of the transport is for each step of it.
            match tokio::time::timeout(self.within, self.transport.send(message)).await {
                Ok(Ok(_)) => Tried::Delivered,
                Ok(Err(error)) if error.is_permanent() => Tried::Never(error.to_string()),
                Ok(Err(error)) => Tried::Later { why: error.to_string(), after_s: None },
                Err(_) => Tried::Later { why: "it took too long".to_owned(), after_s: None },
            }
        })
    }
}
