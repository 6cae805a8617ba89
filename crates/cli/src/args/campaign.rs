//! Campaigns of access reviews.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Campaign {
    /// Begin a campaign from its definition; one with a schedule or events is kept until then.
    Start {
        /// The definition: `reviews/NAME.yaml`.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Begin it now, whatever its schedule says.
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List campaigns, the newest first, and the definitions that are kept.
    Ls {
        /// Those that are not over alone.
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a campaign: where it stands, what came out, and the digest that its owner signs.
    Show {
        #[command(flatten)]
        campaign: OneCampaign,
    },
    /// List its cases, the riskiest and smallest first: those that wait for you, or all.
    Items(Items),
    /// Show one case with what is known of the right. Nobody answers a case that they have not
    /// looked at.
    Item {
        #[command(flatten)]
        campaign: OneCampaign,
        /// Its number.
        #[arg(value_name = "CASE")]
        case: u32,
    },
    /// Answer cases that you have looked at.
    Decide(Decide),
    /// Hand a case on to another person.
    Reassign {
        #[command(flatten)]
        campaign: OneCampaign,
        /// Its number.
        #[arg(value_name = "CASE")]
        case: u32,
        /// To whom.
        #[arg(long, value_name = "PERSON")]
        to: String,
        /// Whose case it is; without it, yours.
        #[arg(long, value_name = "PERSON")]
        from: Option<String>,
    },
    /// End the stage under way, once everyone has answered.
    Close {
        #[command(flatten)]
        campaign: OneCampaign,
    },
    /// Ask again about what nobody answered.
    Reiterate {
        #[command(flatten)]
        campaign: OneCampaign,
    },
    /// Sign what came out, as its owner. `review remediate schedule --campaign` then plans what was
    /// decided.
    SignOff {
        #[command(flatten)]
        campaign: OneCampaign,
        /// The digest that `show` shows: what you sign.
        #[arg(long, value_name = "DIGEST")]
        over: String,
    },
    /// Give it up: nothing of it is carried out.
    Cancel {
        #[command(flatten)]
        campaign: OneCampaign,
    },
    /// Keep a definition no longer: no campaign begins by it any more.
    Withdraw {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OneCampaign {
    /// Which campaign.
    #[arg(value_name = "CAMPAIGN")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Items {
    #[command(flatten)]
    pub(crate) campaign: OneCampaign,
    /// All of them.
    #[arg(long)]
    pub(crate) all: bool,
    /// Those after that cursor.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Decide {
    #[command(flatten)]
    pub(crate) campaign: OneCampaign,
    /// Their numbers: at most 100.
    #[arg(value_name = "CASE", required = true, num_args = 1..=100)]
    pub(crate) cases: Vec<u32>,
    /// What: `accept`, `revoke`, `reduce` or `not_decided`.
    #[arg(long, value_name = "RESPONSE")]
    pub(crate) response: String,
    /// Why; it is recorded.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,
    /// For whom you stand in.
    #[arg(long, value_name = "PERSON")]
    pub(crate) acting_for: Option<String>,
}
