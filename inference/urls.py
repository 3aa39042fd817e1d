from django.urls import path

from inference.views import keeping, pages, talking

urlpatterns = [
    path("", pages.home, name="chats"),
    path("all/", pages.chat_list, name="chat_list"),
    path("new/", talking.begin, name="chat_begin"),
    path("new/settings/", keeping.choose, name="chat_choose_new"),
    path("new/preset/", keeping.preset, name="chat_preset_new"),
    path("presets/<uuid:preset_id>/delete/", keeping.delete_preset, name="chat_preset_delete"),
    path("messages/<uuid:message_id>/again/", talking.again, name="chat_again"),
    path("messages/<uuid:message_id>/stop/", talking.stop, name="chat_stop"),
    path("messages/<uuid:message_id>/look/", talking.look, name="chat_look"),
    path("messages/<uuid:message_id>/vote/", talking.vote, name="chat_vote"),
    path("messages/<uuid:message_id>/report/", talking.report, name="chat_report"),
    path("<uuid:chat_id>/", pages.conversation, name="chat"),
    path("<uuid:chat_id>/ask/", talking.ask, name="chat_ask"),
    path("<uuid:chat_id>/rename/", keeping.rename, name="chat_rename"),
    path("<uuid:chat_id>/hide/", keeping.hide, name="chat_hide"),
    path("<uuid:chat_id>/delete/", keeping.delete, name="chat_delete"),
    path("<uuid:chat_id>/undelete/", keeping.undelete, name="chat_undelete"),
    path("<uuid:chat_id>/settings/", pages.settings, name="chat_settings"),
    path("<uuid:chat_id>/choose/", keeping.choose, name="chat_choose"),
    path("<uuid:chat_id>/preset/", keeping.preset, name="chat_preset"),
]
