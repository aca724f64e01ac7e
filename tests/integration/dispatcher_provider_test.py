"""The other provider: 360dialog takes the same body at another address, with a key instead of a number and a token."""
import road
from road import env


class Provider(road.RoadCase):
    def switch(self, secret):
        """The business's sender becomes one of 360dialog; the sandbox knows its key."""
        self.road.sandbox.config(numbers=[{"phone_number_id": road.NUMBER, "token": "sandbox-token", "d360_key": "dialog-key",
                                           "waba_id": "102290129340398", "portfolio": "p", "rate": 0}])
        file = self.env.folder / f"{self.id()}.key"
        file.write_text(secret + "\n")
        self.road.pg.sql(f"update postrider.sender set provider = '360dialog', account = '', secret = '{file}'")
        return file

    def test_messages_go_out_through_360dialog(self):
        self.switch("dialog-key")
        self.road.people(20)
        self.road.dispatcher(**{"provider.360dialog.url": f"http://127.0.0.1:{self.road.sandbox.port}"})
        self.road.publish([road.event(n) for n in range(20)])
        self.road.settled()
        self.assertEqual(len(self.road.sandbox.accepted()), 20)
        self.road.check(self)

    def test_a_wrong_key_stops_the_sender_and_the_right_one_resumes_it(self):
        file = self.switch("wrong-key")
        self.road.people(3)
        process = self.road.dispatcher(**{"provider.360dialog.url": f"http://127.0.0.1:{self.road.sandbox.port}"})
        self.road.publish([road.event(n) for n in range(3)])
        process.wait_for("event=sender_stopped")
        self.assertEqual(len(self.road.sandbox.accepted()), 0)
        file.write_text("dialog-key\n")
        process.wait_for("event=sender_resumed")
        self.road.pg.sql("update postrider.deferred set due = postrider.clock()")  # what met the wrong key need not wait its minute
        env.wait_until(lambda: len(self.road.sandbox.accepted()) == 3, 20, "the three messages")


if __name__ == "__main__":
    env.main()
