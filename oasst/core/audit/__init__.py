"""The audit log: every act of moderators, administrators and trusted programs, written in the act's transaction."""
