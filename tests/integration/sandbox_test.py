#!/usr/bin/env python3
"""What the stand-in for the platform takes and what it refuses, with which code."""
import json
import unittest

from sandbox_kit import DAY_MS, NUMBER, TOKEN, SandboxTest, order, plain, template, text


class Acceptance(SandboxTest):
    def test_a_good_template_message_is_accepted_in_the_shape_of_the_graph_api(self):
        status, answer = self.sandbox.send(plain(to="+55 (11) 99999-0000"))
        self.assertEqual(status, 200)
        self.assertEqual(answer["messaging_product"], "whatsapp")
        self.assertEqual(answer["contacts"], [{"input": "+55 (11) 99999-0000", "wa_id": "5511999990000"}])
        self.assertTrue(answer["messages"][0]["id"].startswith("wamid."))
        self.assertEqual(answer["messages"][0]["message_status"], "accepted")

    def test_every_message_gets_an_id_of_its_own(self):
        ids = {self.accepted(plain(to="+55119999%05d" % i)) for i in range(300)}
        self.assertEqual(len(ids), 300)

    def test_all_parts_of_a_template_are_taken(self):
        self.accepted(order())
        self.accepted(order(extra=[{"type": "button", "sub_type": "QUICK_REPLY", "index": 1,
                                    "parameters": [{"type": "payload", "payload": "STOP"}]}]))

    def test_named_parameters_may_come_in_any_order(self):
        header = {"type": "header", "parameters": [text("Ana", parameter_name="first_name")]}
        self.accepted(template("cart", [text("2", parameter_name="items"), text("Ana", parameter_name="first_name")],
                               components=[header]))

    def test_a_version_in_the_path_is_optional(self):
        self.accepted(plain(), path="/%s/messages" % NUMBER)
        self.accepted(plain(), path="/v17.0/%s/messages" % NUMBER)

    def test_the_360dialog_form_takes_a_key_instead_of_number_and_token(self):
        head = {"D360-API-KEY": "d360-key", "Content-Type": "application/json"}
        status, _, answer = self.sandbox.request("POST", "/messages", json.dumps(plain()), head)
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.sandbox.record()[0]["phone_number_id"], NUMBER)

    def test_a_wrong_360dialog_key_gets_401_without_a_provider_code(self):
        head = {"D360-API-KEY": "wrong", "Content-Type": "application/json"}
        status, _, answer = self.sandbox.request("POST", "/messages", json.dumps(plain()), head)
        self.assertEqual(status, 401)
        self.assertNotIn("error", json.loads(answer))

    def test_a_number_of_its_own_token_is_opened_by_that_token_and_by_business_tokens(self):
        self.accepted(plain(), number="222", token="own-token")
        self.accepted(plain(), number="222", token=TOKEN)
        self.refused(plain(), 10, 403, number=NUMBER, token="own-token")

    def test_a_recipient_without_plus_gets_the_country_of_the_business_in_front(self):
        self.accepted(plain(to="11999990000"), number="222")
        self.assertEqual(self.sandbox.record()[0]["wa_id"], "5511999990000")

    def test_a_business_scoped_id_is_taken_as_recipient(self):
        message = plain()
        del message["to"]
        message["recipient"] = "US.13491208655302741918"
        status, answer = self.sandbox.send(message)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["contacts"], [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}])

    def test_to_wins_over_recipient(self):
        self.accepted(plain(recipient="US.13491208655302741918"))
        self.assertEqual(self.sandbox.record()[0]["wa_id"], "5511999990000")

    def test_marking_as_read_succeeds_and_is_no_message(self):
        status, answer = self.sandbox.send({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"})
        self.assertEqual((status, answer), (200, {"success": True}))
        self.assertEqual(self.sandbox.stats()["accepted"], 0)

    def test_the_number_can_be_looked_at(self):
        status, _, answer = self.sandbox.request("GET", "/v25.0/" + NUMBER, None, {"Authorization": "Bearer " + TOKEN})
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(answer)["quality_rating"], "GREEN")


class Refusal(SandboxTest):
    def test_a_wrong_or_missing_token_is_190(self):
        self.refused(plain(), 190, 401, token="wrong")
        status, _, answer = self.sandbox.request("POST", "/%s/messages" % NUMBER, b"{}", {"Content-Type": "application/json"})
        self.assertEqual((status, json.loads(answer)["error"]["code"]), (401, 190))

    def test_a_revoked_token_is_190_until_it_is_given_back(self):
        self.sandbox.admin("config", {"revoked_tokens": [TOKEN]})
        self.refused(plain(), 190, 401)
        self.sandbox.admin("config", {"tokens": [TOKEN]})
        self.accepted(plain())

    def test_an_unknown_number_is_100_with_subcode_33(self):
        error = self.refused(plain(), 100, number="999")
        self.assertEqual(error["error_subcode"], 33)

    def test_an_error_has_the_shape_of_the_graph_api(self):
        error = self.refused(template("missing", []), 132001, 404)
        self.assertEqual(error["type"], "OAuthException")
        self.assertTrue(error["message"].startswith("(#132001) "))
        self.assertEqual(error["error_data"]["messaging_product"], "whatsapp")
        self.assertIn("missing", error["error_data"]["details"])
        self.assertTrue(error["fbtrace_id"])

    def test_what_is_not_json_is_100(self):
        for body in (b"", b"{", b"[]", b'{"a":1,}', b"{'a':1}", b'{"messaging_product":"\xff"}', b"nul", b"01",
                     b'{"a":"\\ud800"}', b'{"a":"\\x"}', b"[" * 100, b'{"a":"\x01"}', b'{"a":1}x'):
            with self.subTest(body=body):
                self.refused(body, 100)

    def test_a_body_that_is_not_declared_json_is_100(self):
        self.refused(plain(), 100, headers={"Content-Type": "text/plain"})

    def test_an_unknown_key_is_100(self):
        self.refused(plain(surprise=1), 100)
        message = plain()
        message["template"]["surprise"] = 1
        self.refused(message, 100)

    def test_the_product_must_be_whatsapp(self):
        self.refused(plain(messaging_product="sms"), 100)
        message = plain()
        del message["messaging_product"]
        self.refused(message, 100)

    def test_a_recipient_is_required_and_must_be_a_phone_number(self):
        message = plain()
        del message["to"]
        self.refused(message, 100)
        for to in ("", "+", "abc", "+12", "+0551199", "+5511999990000000", "55+11999990000", "+55\u000011999990000",
                   "US.13491208655302741918"):
            with self.subTest(to=to):
                self.refused(plain(to=to), 131009)
        self.refused(plain(to=5511), 100)

    def test_the_sender_is_no_recipient(self):
        self.refused(plain(to="+551140028922"), 131021)

    def test_callback_data_has_512_characters_at_most(self):
        self.accepted(plain(biz_opaque_callback_data="é" * 512))
        self.refused(plain(biz_opaque_callback_data="x" * 513), 131009)
        self.refused(plain(biz_opaque_callback_data=1), 100)

    def test_an_unknown_template_or_language_is_132001_with_404(self):
        self.refused(template("nope", [text("x")]), 132001, 404)
        self.refused(template("plain", [text("x")], language="en_US"), 132001, 404)
        self.refused(template("pending"), 132001, 404)

    def test_a_paused_template_is_132015_and_a_disabled_one_132016(self):
        self.refused(template("paused"), 132015)
        self.refused(template("disabled"), 132016)

    def test_a_template_can_be_paused_and_resumed_while_running(self):
        self.sandbox.admin("template", {"name": "plain", "language": "pt_BR", "status": "PAUSED"})
        self.refused(plain(), 132015)
        self.sandbox.admin("template", {"name": "plain", "status": "APPROVED"})
        self.accepted(plain())
        self.sandbox.admin("template", {"name": "nope", "status": "PAUSED"}, expect=400)

    def test_a_wrong_number_of_parameters_is_132000(self):
        self.refused(template("plain", []), 132000)
        self.refused(template("plain"), 132000)
        self.refused(template("plain", [text("a"), text("b")]), 132000)
        self.refused(order(button=[]), 132000)

    def test_a_missing_button_parameter_is_131008(self):
        message = order()
        message["template"]["components"] = [c for c in message["template"]["components"] if c["type"] != "button"]
        self.refused(message, 131008)

    def test_a_header_of_another_kind_is_132012(self):
        self.refused(order(header=[{"type": "image", "image": {"link": "https://x.example/a.jpg"}}]), 132012)
        self.refused(order(header=[]), 132012)
        message = order()
        message["template"]["components"] = [c for c in message["template"]["components"] if c["type"] != "header"]
        self.refused(message, 132012)

    def test_header_media_need_exactly_one_of_id_and_link(self):
        self.refused(order(header=[{"type": "document", "document": {}}]), 131008)
        self.refused(order(header=[{"type": "document", "document": {"id": "1", "link": "https://x.example/a"}}]), 131009)
        self.refused(order(header=[{"type": "document", "document": {"link": "ftp://x.example/a"}}]), 131009)
        self.accepted(order(header=[{"type": "document", "document": {"id": "1"}}]))

    def test_names_must_be_the_templates_names(self):
        head = {"type": "header", "parameters": [text("Ana", parameter_name="first_name")]}
        self.refused(template("cart", [text("2", parameter_name="items"), text("A", parameter_name="nome")],
                              components=[head]), 132012)
        self.refused(template("cart", [text("2"), text("A")], components=[head]), 132012)
        self.refused(template("cart", [text("2", parameter_name="items"), text("3", parameter_name="items")],
                              components=[head]), 132000)
        self.refused(template("plain", [text("A", parameter_name="first_name")]), 132012)

    def test_an_empty_or_untyped_parameter_is_131008(self):
        self.refused(template("plain", [text("")]), 131008)
        self.refused(template("plain", [{"type": "text"}]), 131008)
        self.refused(template("plain", [{"text": "a"}]), 131008)

    def test_a_text_parameter_is_one_line_without_long_gaps(self):
        for bad in ("a\nb", "a\tb", "a     b"):
            with self.subTest(bad=bad):
                self.refused(template("plain", [text(bad)]), 131009)
        self.accepted(template("plain", [text("a    b")]))

    def test_a_body_of_1024_characters_passes_and_one_more_is_132005(self):
        self.accepted(template("plain", [text("é" * 1021)]))
        self.refused(template("plain", [text("é" * 1022)]), 132005)

    def test_a_parameter_counts_as_often_as_it_occurs(self):
        head = {"type": "header", "parameters": [text("A", parameter_name="first_name")]}
        room = (1024 - len(", x no carrinho, !")) // 2
        for length, good in ((room, True), (room + 1, False)):
            message = template("cart", [text("a" * length, parameter_name="first_name"), text("x", parameter_name="items")],
                               components=[head])
            with self.subTest(length=length):
                self.accepted(message) if good else self.refused(message, 132005)

    def test_a_text_header_of_60_characters_passes_and_one_more_is_132005(self):
        body = [text("2", parameter_name="items"), text("Ana", parameter_name="first_name")]
        for length, good in ((57, True), (58, False)):
            head = {"type": "header", "parameters": [text("a" * length, parameter_name="first_name")]}
            message = template("cart", body, components=[head])
            with self.subTest(length=length):
                self.accepted(message) if good else self.refused(message, 132005)

    def test_a_button_must_exist_and_be_of_its_kind(self):
        def button(index, kind, parameters):
            return [{"type": "button", "sub_type": kind, "index": index, "parameters": parameters}]
        payload = [{"type": "payload", "payload": "x"}]
        self.refused(order(extra=button("2", "quick_reply", payload)), 131009)
        self.refused(order(extra=button("1", "url", [text("x")])), 132012)
        self.refused(order(extra=button("1", "quick_reply", [text("x")])), 132012)
        self.refused(order(extra=button("0", "url", [text("x")])), 100)
        self.accepted(order(extra=button("1", "quick_reply", [{"type": "payload", "payload": "x" * 256}])))
        self.refused(order(extra=button("1", "quick_reply", [{"type": "payload", "payload": "x" * 257}])), 131009)

    def test_a_url_of_2000_characters_passes_and_one_more_is_132005(self):
        room = 2000 - len("https://loja.example/p/")
        self.accepted(order(button=[text("x" * room)]))
        self.refused(order(button=[text("x" * (room + 1))]), 132005)

    def test_a_coupon_code_has_15_characters_at_most(self):
        def coupon(code):
            return template("coupon", components=[{"type": "button", "sub_type": "COPY_CODE", "index": "0", "parameters": [
                {"type": "coupon_code", "coupon_code": code}]}])
        self.accepted(coupon("x" * 15))
        self.refused(coupon("x" * 16), 131009)

    def test_an_authentication_template_needs_a_phone_number(self):
        message = template("code", [text("123456")], components=[
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [text("123456")]}])
        self.accepted(message)
        del message["to"]
        message["recipient"] = "US.13491208655302741918"
        self.refused(message, 131062)

    def test_the_marketing_path_takes_marketing_templates_only(self):
        path = "/v25.0/%s/marketing_messages" % NUMBER
        self.accepted(plain(product_policy="STRICT", message_activity_sharing=False), path=path)
        self.refused(order(), 131055, path=path)
        self.refused({"messaging_product": "whatsapp", "to": "+5511999990000", "type": "text", "text": {"body": "x"}}, 100, path=path)

    def test_marketing_can_be_off_for_a_number(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "marketing_off": True}]})
        self.refused(plain(), 131063)
        self.accepted(order())

    def test_an_unknown_path_is_refused(self):
        self.refused(plain(), 2500, path="/v25.0/%s/nothing" % NUMBER)


class ServiceMessages(SandboxTest):
    settings = {"windows": [{"to": "+5511999990000"}]}

    def message(self, kind, value, to="+5511999990000"):
        return {"messaging_product": "whatsapp", "to": to, "type": kind, kind: value}

    def test_text_goes_inside_an_open_window_and_is_131047_outside(self):
        self.accepted(self.message("text", {"body": "oi", "preview_url": False}))
        self.refused(self.message("text", {"body": "oi"}, to="+5511999990001"), 131047)

    def test_a_window_closes_with_the_platforms_clock(self):
        self.sandbox.admin("clock", {"advance_ms": DAY_MS})
        self.refused(self.message("text", {"body": "oi"}), 131047)
        self.sandbox.admin("window", {"to": "+5511999990000", "open_ms": 60000})
        self.accepted(self.message("text", {"body": "oi"}))

    def test_a_text_of_4096_characters_passes_and_one_more_does_not(self):
        self.accepted(self.message("text", {"body": "é" * 4096}))
        self.refused(self.message("text", {"body": "é" * 4097}), 100)

    def test_media_places_contacts_and_reactions_are_taken(self):
        self.accepted(self.message("image", {"link": "https://x.example/a.jpg", "caption": "olá"}))
        self.accepted(self.message("document", {"id": "1", "filename": "a.pdf"}))
        self.refused(self.message("audio", {"id": "1", "caption": "no"}), 100)
        self.accepted(self.message("location", {"latitude": 1.5, "longitude": "2"}))
        self.accepted(self.message("contacts", [{"name": {"formatted_name": "Ana"}}]))
        self.accepted(self.message("reaction", {"message_id": "wamid.x", "emoji": ""}))
        self.refused(self.message("hologram", {}), 100)

    def test_three_reply_buttons_pass_and_four_do_not(self):
        def buttons(n):
            return self.message("interactive", {"type": "button", "body": {"text": "?"}, "action": {"buttons": [
                {"type": "reply", "reply": {"id": str(i), "title": "t%d" % i}} for i in range(n)]}})
        self.accepted(buttons(3))
        self.refused(buttons(4), 131009)

    def test_ten_rows_of_a_list_pass_and_eleven_do_not(self):
        def rows(first, second):
            return self.message("interactive", {"type": "list", "body": {"text": "?"}, "action": {"button": "Menu", "sections": [
                {"title": "a", "rows": [{"id": "a%d" % i, "title": "t"} for i in range(first)]},
                {"title": "b", "rows": [{"id": "b%d" % i, "title": "t"} for i in range(second)]}]}})
        self.accepted(rows(5, 5))
        self.refused(rows(5, 6), 131009)

    def test_other_interactive_messages_are_checked_for_their_label(self):
        def cta(label):
            return self.message("interactive", {"type": "cta_url", "body": {"text": "?"}, "action": {
                "name": "cta_url", "parameters": {"url": "https://x.example", "display_text": label}}})
        self.accepted(cta("x" * 20))
        self.refused(cta("x" * 21), 131009)


if __name__ == "__main__":
    unittest.main()
