//! The MCP gateway: no call goes upstream without a Permit.
