"""Before anything is sent: places, recipients, audiences, templates, wordings, the plan and its approval."""
