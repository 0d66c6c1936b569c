"""The durable truth: users, chats, the numbered log of messages, receipts and sessions."""
