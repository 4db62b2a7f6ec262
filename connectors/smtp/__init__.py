"""SMTP: sends mails, and a sandbox that keeps them."""
