from django.urls import path

from inference.views import battles, chat_actions, conversation_actions, pages

urlpatterns = [
    path("", pages.home, name="chats"),
    path("all/", pages.chat_list, name="chat_list"),
    path("new/", conversation_actions.begin, name="chat_begin"),
    path("new/settings/", chat_actions.choose, name="chat_choose_new"),
    path("new/preset/", chat_actions.preset, name="chat_preset_new"),
    path("presets/<uuid:preset_id>/delete/", chat_actions.delete_preset, name="chat_preset_delete"),
    path("messages/<uuid:message_id>/again/", conversation_actions.again, name="chat_again"),
    path("messages/<uuid:message_id>/stop/", conversation_actions.stop, name="chat_stop"),
    path("messages/<uuid:message_id>/look/", conversation_actions.look, name="chat_look"),
    path("messages/<uuid:message_id>/vote/", conversation_actions.vote, name="chat_vote"),
    path("messages/<uuid:message_id>/report/", conversation_actions.report, name="chat_report"),
    path("battles/", battles.start, name="battles"),
    path("battles/begin/", battles.begin, name="battle_begin"),
    path("battles/board/", battles.board, name="battle_board"),
    path("battles/<uuid:battle_id>/", battles.battle, name="battle"),
    path("battles/<uuid:battle_id>/decide/", battles.decide, name="battle_decide"),
    path("battles/<uuid:battle_id>/give-up/", battles.give_up, name="battle_give_up"),
    path("<uuid:chat_id>/", pages.conversation, name="chat"),
    path("<uuid:chat_id>/ask/", conversation_actions.ask, name="chat_ask"),
    path("<uuid:chat_id>/rename/", chat_actions.rename, name="chat_rename"),
    path("<uuid:chat_id>/hide/", chat_actions.hide, name="chat_hide"),
    path("<uuid:chat_id>/delete/", chat_actions.delete, name="chat_delete"),
    path("<uuid:chat_id>/undelete/", chat_actions.undelete, name="chat_undelete"),
    path("<uuid:chat_id>/settings/", pages.settings, name="chat_settings"),
    path("<uuid:chat_id>/choose/", chat_actions.choose, name="chat_choose"),
    path("<uuid:chat_id>/preset/", chat_actions.preset, name="chat_preset"),
]
