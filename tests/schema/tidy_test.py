#!/usr/bin/env -S python3 -B
"""What no look-up needs any more goes in portions, and nobody waits for it."""

import ledger


class Tidy(ledger.RaceCase):
    def fences(self, n, age_days):
        self.s.do(f"insert into postrider.fence select 1, 1, '{age_days}-' || i, 'cart', postrider.clock() - interval '{age_days} days', 0, gen_random_uuid() "
                  f"from generate_series(1, {n}) i")

    def tidy(self):
        return self.s.value("select postrider.tidy_v1(30)")

    def setUp(self):
        self.s.do("delete from postrider.fence; delete from postrider.reach")

    def test_ten_thousand_go_at_once_and_what_is_needed_stays(self):
        self.fences(10_005, 31)
        self.fences(7, 29)
        self.assertEqual([self.tidy() for _ in range(3)], [10_000, 5, 0])
        self.assertEqual(self.s.value("select count(*) from postrider.fence"), 7)

    def test_what_a_claim_is_at_is_left_alone(self):
        self.fences(2, 31)
        self.s.do("insert into postrider.reach select 1, 1, c, q.last_minute - 8 * 1440, gen_random_uuid() from generate_series(1, 2) c, postrider.quota_pool q "
                  "where q.id = 1")
        self.x.session.do("begin; update postrider.fence set rank = 1 where key = '31-1'; update postrider.reach set minute = minute + 1 where contact = 1")
        self.assertEqual(self.tidy(), 2)
        self.x.session.do("commit")
        self.assertEqual(self.tidy(), 2)


if __name__ == "__main__":
    ledger.main()
