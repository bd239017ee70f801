"""A catalogue of sixty items, and random events of its shoppers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from inference.types import Item
from streams.contracts.messages import Cart, Click, Interaction, ItemInteraction, Purchase, Search, View

TITLES_BY_CATEGORY = {
    ("Grocery", "Dairy"): (
        "Organic whole milk 1 l",
        "Oat drink barista edition",
        "Greek yoghurt 10 % fat",
        "Salted butter 250 g",
        "Mature cheddar",
        "Crème fraîche",
        "Mozzarella di bufala",
        "Lactose-free semi-skimmed milk",
        "Kefir with strawberry",
        "Soy yoghurt",
    ),
    ("Grocery", "Bakery"): (
        "Rye sourdough loaf",
        "Wholegrain spelt bread",
        "French baguette",
        "Butter croissants, 6 pieces",
        "Cinnamon rolls",
        "Gluten-free toast",
        "Pumpkin seed rolls",
        "Bagels with sesame",
        "Naan with garlic",
        "Brioche burger buns",
    ),
    ("Grocery", "Coffee and tea"): (
        "Espresso beans dark roast 1 kg",
        "Filter coffee Ethiopia",
        "Decaf ground coffee",
        "Earl Grey loose leaf tea",
        "Japanese sencha green tea",
        "Rooibos with vanilla",
        "Instant coffee gold",
        "Chai latte powder",
        "Coffee capsules lungo",
        "Peppermint tea bags",
    ),
    ("Home", "Kitchen"): (
        "Stainless steel frying pan 28 cm",
        "Cast iron casserole 5 l",
        "Chef's knife 20 cm",
        "Bamboo cutting board",
        "Espresso machine with grinder",
        "French press 1 l",
        "Electric kettle with thermometer",
        "Bread baking tin",
        "Tea infuser",
        "Milk frother",
    ),
    ("Sport", "Running"): (
        "Trail running shoes women",
        "Road running shoes men",
        "Breathable running shirt",
        "GPS running watch",
        "Hydration vest 5 l",
        "Compression socks",
        "Reflective running jacket",
        "Running belt for phone",
        "Headlamp 400 lumen",
        "Energy gels, 12 pieces",
    ),
    ("Garden", "Tools"): (
        "Secateurs for roses",
        "Garden hose 25 m",
        "Cordless hedge trimmer",
        "Leaf rake",
        "Watering can 10 l",
        "Compost bin 300 l",
        "Spade with ash handle",
        "Garden gloves",
        "Wheelbarrow",
        "Seed starter tray",
    ),
}
BRANDS = ("Alpenhof", "Nordlicht", "Kettle & Co", "Terra")
QUERIES = ("oat milk", "fresh bread", "strong coffee", "running shoes", "kitchen knife", "rose pruning", "green tea")
ACTIONS: tuple[type[ItemInteraction], ...] = (View, Click, Cart, Purchase)


def catalogue() -> list[Item]:
    """Return sixty items in six categories, of four brands."""
    return [
        Item(item_id=f"{path[-1]}-{place}", title=title, category=path, brand=BRANDS[place % 4], price=1.5 + place)
        for path, titles in TITLES_BY_CATEGORY.items()
        for place, title in enumerate(titles)
    ]


def random_events(shopper: str, events: int, seed: int = 0) -> list[Interaction]:
    """Return a shopper's events of the last hour in order, a quarter of them searches. They depend on the seed.

    All are of one day (UTC): a late event of the day before may teach again what was taught that day.
    """
    random = Random(f"{shopper}/{seed}")
    items = [item.item_id for item in catalogue()]
    now = datetime.now(UTC).replace(microsecond=0)
    began = now - timedelta(hours=1)
    if began.date() != now.date():
        began = now.replace(hour=0, minute=0, second=0) - timedelta(hours=1)
    history: list[Interaction] = []
    for number in range(events):
        event_id, at = f"{shopper}/{seed}/{number}", began + timedelta(seconds=3500 * number / events)
        if random.random() < 0.25:
            query = random.choice(QUERIES)
            history.append(Search(event_id=event_id, user_id=shopper, occurred_at=at, query=query))
        else:
            action, item_id = random.choice(ACTIONS), random.choice(items)
            history.append(action(event_id=event_id, user_id=shopper, occurred_at=at, item_id=item_id))
    return history
