"""The HTTP server: page, REST, WebRTC offers, WebSockets and telephone webhooks."""
