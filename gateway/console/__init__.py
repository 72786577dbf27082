"""The pages for people: server-rendered, reading the same services as every protocol."""
