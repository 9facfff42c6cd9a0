"""What an owner does on the first day, through a client that was made from the description."""

import importlib
import os
import pkgutil
import sys

import client
from client import AuthenticatedClient
from client.api.consumers import create_consumer, delete_consumer, get_consumer
from client.api.plans import create_plan
from client.api.products import create_product, list_products
from client.api.subscriptions import create_subscription, get_quota
from client.models import ConsumerCreate, PlanCreate, ProductCreate, ProductStatus, SubscriptionCreate


def main(url, token):
    modules = list(pkgutil.walk_packages(client.__path__, "client."))
    for module in modules:
        importlib.import_module(module.name)
    with AuthenticatedClient(url, token, raise_on_unexpected_status=True) as owner:
        active = ProductCreate(name="weather", status=ProductStatus.ACTIVE, gateway_endpoint="https://api.example.com")
        product = create_product.sync(client=owner, body=active)
        plan = create_plan.sync("weather", client=owner, body=PlanCreate(name="free", monthly_quota=1_000))
        consumer = create_consumer.sync(client=owner, body=ConsumerCreate(name="Ada"))
        assert get_consumer.sync(consumer.id, client=owner).name == "Ada"
        body = SubscriptionCreate(consumer_id=consumer.id, plan_id=plan.id)
        subscription = create_subscription.sync(client=owner, body=body)
        assert get_quota.sync(subscription.id, client=owner).quota == 1_000
        assert [item.id for item in list_products.sync(client=owner).items] == [product.id]
        refusal = delete_consumer.sync(consumer.id, client=owner)
        assert refusal.status == 409, refusal
    print(f"a client of {len(modules)} modules was made, imported and used")


if __name__ == "__main__":
    main(sys.argv[1], os.environ["TOLLGATE_TOKEN"])
