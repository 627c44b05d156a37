"""Clients written for OpenAI notice nothing."""
