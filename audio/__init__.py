"""Words into sound: speech, its mix with a chime, its encoding. Imports nothing of the other rooms."""
