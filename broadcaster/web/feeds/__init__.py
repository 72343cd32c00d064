"""What devices fetch and say: feeds by token, clips by digest, events. Served from memory; an unknown token is a plain 404."""

from starlette.routing import Route

from broadcaster.web.feeds import boards, clips, speakers
from broadcaster.web.feeds.events import board_event, speaker_event

routes = [
    Route("/feeds/speakers/{token}/manifest.json", speakers.manifest),
    Route("/feeds/speakers/{token}/playlist.m3u", speakers.playlist_m3u),
    Route("/feeds/speakers/{token}/feed.rss", speakers.rss),
    Route("/feeds/speakers/{token}/events", speaker_event, methods=["POST"]),
    Route("/feeds/boards/{token}/events", board_event, methods=["POST"]),
    Route("/feeds/boards/{token}.txt", boards.text),
    Route("/feeds/boards/{token}.json", boards.pages),
    Route("/feeds/boards/{token}.xml", boards.xml),
    Route("/feeds/boards/{token}.html", boards.html),
    Route("/audio/{name}", clips.clip),
]
