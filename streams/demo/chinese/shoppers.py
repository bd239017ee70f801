"""The simulated shoppers of the Chinese demo. No I/O.

Everything is synthetic, and marked `context: {"synthetic": true}`. A shopper has two tastes and a few basics. What the
shopper uses up is bought again after about the same number of days, mostly the same item. Other goods are viewed, and
some of them bought once. Some purchases lead to a kind of goods that goes with them. Forty regulars visit every three
to six days, the others every few weeks.

Half of the kinds are searched for before they are viewed: by a word of the kind, or by the need that it serves. A sixth
of the shoppers writes in traditional characters as well, and a sixth also in English. All choices are a function of the
ids, so every run makes the same events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from inference.types import Item
from streams.contracts.messages import Cart, Interaction, Purchase, Search, View
from streams.demo.chinese.goods import Kind
from streams.demo.data import interleaved, share

SHOPPERS, REGULARS, DAYS = 300, 40, 84
FIRST_EVENING = datetime(2025, 9, 1, 11, tzinfo=UTC)
"""Seven in the evening in China, on a Monday."""
STAPLES, MOST_KINDS = 7, 4
"""Kinds that a shopper buys again, and the most kinds of goods in a visit."""
MULTILINGUAL, TRADITIONAL = 1, 4
"""Shoppers by their number modulo 6: MULTILINGUAL ones write in simplified and traditional characters and in English,
TRADITIONAL ones in both kinds of characters."""

BASICS = (
    "抽纸", "卷纸", "牛奶", "鸡蛋", "大米", "面包", "洗衣液", "牙膏牙刷", "洗发水", "沐浴露", "洗洁精", "酱油",
    "食用油", "薯片", "饼干", "方便面", "碳酸饮料", "果汁", "酸奶", "挂面",
)  # fmt: skip
"""Kinds that every household buys again. Each shopper buys some of them here."""
TASTES = (
    ("绿茶", "红茶", "乌龙普洱", "花草茶", "茶具", "坚果", "矿泉水", "果酱蜂蜜"),
    ("咖啡", "咖啡器具", "饼干", "巧克力", "牛奶", "保温杯", "面包"),
    ("方便面", "自热锅", "火腿肠", "辣椒酱", "火锅底料", "肉类零食", "碳酸饮料", "锅具"),
    ("面粉", "酵母", "烘焙用具", "烤箱", "果酱蜂蜜", "鸡蛋", "牛奶"),
    ("锅具", "炖锅", "厨具", "碗盘", "筷勺", "保鲜收纳", "电饭煲", "食用油", "酱油", "醋", "干货", "杂粮", "大米"),
    ("麦片", "酸奶", "面包", "牛奶", "果干", "果汁", "鸡蛋"),
    ("洁面", "爽肤水", "面霜乳液", "面膜", "防晒", "彩妆", "身体乳", "护发素", "洗发水"),
    ("手机壳", "手机膜", "充电器", "数据线", "充电宝", "耳机", "电脑外设", "手机支架", "音箱"),
    ("健身器材", "瑜伽", "蛋白营养", "运动饮料", "跑步装备", "运动服", "酸奶", "麦片"),
    ("羽毛球乒乓球", "篮球足球", "运动饮料", "袜子", "运动服", "毛巾浴巾"),
    ("露营装备", "徒步登山", "自热锅", "防晒", "遮阳伞帽", "骑行", "充电宝", "驱蚊", "矿泉水"),
    ("纸尿裤", "婴儿辅食", "喂养用品", "婴童服饰", "湿巾", "益智早教", "洗衣液"),
    ("积木拼图", "儿童玩具车", "毛绒玩偶", "过家家手工", "画材", "书包", "本册", "书写工具", "牛奶", "电池"),
    ("猫粮", "猫砂", "宠物用品", "清洁工具", "消毒除味"),
    ("狗粮", "宠物用品", "清洁工具", "湿巾"),
    ("四件套", "被子枕头", "毛巾浴巾", "收纳整理", "香薰绿植", "家居鞋服", "清洁工具", "消毒除味", "柔顺剂"),
    ("书写工具", "本册", "办公用品", "台灯", "电脑外设", "咖啡", "薯片", "棋牌桌游"),
    ("营养保健", "花草茶", "杂粮", "果干", "家庭护理", "水壶养生壶", "保温杯"),
)


def shopping(kinds: Mapping[str, Kind]) -> list[Interaction]:
    """Return the events of all shoppers in the order of publication."""
    shoppers = [_Shopper(number, kinds) for number in range(1, SHOPPERS + 1)]
    return [event for day in range(DAYS) for event in interleaved(shopper.events(day) for shopper in shoppers)]


@dataclass(slots=True)
class _Shopper:
    """A shopper: what is bought again and what may be bought once, and when each kind was bought last, in days."""

    number: int
    kinds: Mapping[str, Kind]
    staples: list[Kind] = field(init=False)
    wishes: list[Kind] = field(init=False)
    bought: dict[str, float] = field(init=False)
    pause: float = field(init=False)
    next_visit: float = field(init=False)

    def __post_init__(self) -> None:
        first = int(self._share("taste") * len(TASTES))
        second = (first + 1 + int(self._share("second taste") * (len(TASTES) - 1))) % len(TASTES)
        basics = [name for name in BASICS if self._share("basic", name) < 0.35]
        wanted = [self.kinds[name] for name in dict.fromkeys((*basics, *TASTES[first], *TASTES[second]))]
        staples = [kind for kind in wanted if kind.days]
        self.staples = sorted(staples, key=lambda kind: kind.days * self._share("staple", kind.name))[:STAPLES]
        self.wishes = [kind for kind in wanted if not kind.days]
        # At the start, everything has been used up in part.
        self.bought = {kind.name: -self._share("stock", kind.name) * kind.days for kind in self.staples}
        regular = self.number <= REGULARS
        self.pause = 3 + 3 * self.number / REGULARS if regular else 20 + 40 * self._share("pause")
        self.next_visit = self._share("first visit") * self.pause

    def events(self, day: int) -> list[Interaction]:
        """Return the events of the shopper's visit on a day, if there is one."""
        if day < int(self.next_visit):
            return []
        self.next_visit = day + self.pause * (0.75 + 0.5 * self._share("pause", day))
        wanted, at_checkout = self._needed(day), list[Item]()
        visit = _Visit(str(self.number), day)
        for kind in wanted:  # companions are appended meanwhile
            item = self._favourite(kind, day)
            visit.look(kind, item, self._typed(kind, day))
            if self._share("buys", day, kind.name) < (0.9 if kind.days else 0.45):
                visit.put_into_cart(item)
                self.bought[kind.name] = day
                at_checkout.append(item)
                wanted += self._companion(kind, wanted, day)
        visit.pay(at_checkout)
        return visit.events

    def _needed(self, day: int) -> list[Kind]:
        """Return the staples that are used up, most overdue first, and sometimes a wish."""
        overdue = {
            kind.name: (day - self.bought[kind.name]) / (kind.days * (0.85 + 0.3 * self._share("use", day, kind.name)))
            for kind in self.staples
        }
        used_up = sorted((name for name in overdue if overdue[name] >= 1), key=lambda name: (-overdue[name], name))
        wishes = [kind for kind in self.wishes if kind.name not in self.bought]
        wish = [wishes[int(self._share("wish", day) * len(wishes))]] if wishes else []
        needed = [self.kinds[name] for name in used_up[: MOST_KINDS - 1]]
        return [*needed, *wish] if self._share("has a wish", day) < 0.3 or not needed else needed

    def _companion(self, kind: Kind, wanted: Sequence[Kind], day: int) -> list[Kind]:
        """Return a kind that goes with a bought one, if the shopper thinks of it and has none at home."""
        other = self.kinds[kind.goes_with[int(self._share("with", day, kind.name) * len(kind.goes_with))]]
        is_at_home = other.name in self.bought and day - self.bought[other.name] < (other.days or DAYS) / 2
        thinks_of_it = self._share("thinks", day, kind.name) < 0.3
        return [other] if thinks_of_it and not is_at_home and other not in wanted and len(wanted) < MOST_KINDS else []

    def _favourite(self, kind: Kind, day: int) -> Item:
        """Return the shopper's usual item of a kind, and sometimes another. The first items of a kind sell best."""
        chosen = self._share("favourite", kind.name)
        if self._share("changes", day, kind.name) < 0.15:
            chosen = self._share("other", day, kind.name)
        # A power above 1 draws small numbers more often, and the first items of a kind are the popular ones.
        return kind.items[int(chosen**1.5 * len(kind.items))]

    def _typed(self, kind: Kind, day: int) -> str | None:
        """Return what the shopper types to find a kind, None without a search."""
        if self._share("searches", day, kind.name) >= 0.5:
            return None
        ways = [kind.words] * 2 + [kind.needs]
        if self.number % 6 == MULTILINGUAL:
            ways = [kind.words, kind.english, kind.traditional, kind.needs]
        elif self.number % 6 == TRADITIONAL:
            ways = [kind.words, kind.traditional, kind.traditional]
        way = ways[int(self._share("way", day, kind.name) * len(ways))]
        return way[int(self._share("word", day, kind.name) ** 1.5 * len(way))]

    def _share(self, *about: object) -> float:
        return share(self.number, *about)


@dataclass(slots=True)
class _Visit:
    """A visit in the making: each event follows the one before by some seconds."""

    user: str
    day: int
    events: list[Interaction] = field(default_factory=list)

    def look(self, kind: Kind, item: Item, typed: str | None) -> None:
        """Search, perhaps view another item of the kind, and view the item."""
        if typed is not None:
            self.events.append(Search(**self._base(), query=typed))
        other = kind.items[int(share(self.user, self.day, kind.name, "beside") * len(kind.items))]
        if other is not item and share(self.user, self.day, kind.name, "compares") < 0.4:
            self.events.append(View(**self._base(), item_id=other.item_id))
        self.events.append(View(**self._base(), item_id=item.item_id))

    def put_into_cart(self, item: Item) -> None:
        """Put an item into the cart, which half of the purchases begin with."""
        if share(self.user, self.day, item.item_id, "cart") < 0.5:
            self.events.append(Cart(**self._base(), item_id=item.item_id))

    def pay(self, items: Sequence[Item]) -> None:
        """Buy the items, all at one time."""
        at = self._base()["occurred_at"]
        for item in items:
            base = {**self._base(), "occurred_at": at}
            self.events.append(Purchase(**base, item_id=item.item_id, quantity=1, price=item.price))

    def _base(self) -> dict[str, Any]:
        number, visit = len(self.events), f"{self.user}-{self.day}"
        evening = timedelta(days=self.day, hours=3 * share(visit, "hour"))
        return {
            "event_id": f"{visit}-{number}",
            "user_id": self.user,
            "session_id": visit,
            "occurred_at": (FIRST_EVENING + evening + number * timedelta(seconds=20)).replace(microsecond=0),
            "context": {"synthetic": True},
        }


def shown(events: Sequence[Interaction]) -> str:
    """Return the shopper to show: of those who write in all three ways, the one with most purchases of bought items."""
    purchases = Counter(
        (event.user_id, event.item_id)
        for event in events
        if isinstance(event, Purchase) and int(event.user_id) % 6 == MULTILINGUAL
    )
    again = Counter[str]()
    for (user, _), number in purchases.items():
        again[user] += number - 1
    return max(again, key=lambda user: (again[user], user), default=events[0].user_id)
