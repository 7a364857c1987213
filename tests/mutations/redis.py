"""Redis, and the network to it."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="Redis restarts",
        of="publisher.succeeds",
        replace="Exception",
        by="ValueError",
        fails="test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[restart]",
    ),
    Mutation(
        fault="Redis does not answer for some seconds (DEBUG SLEEP)",
        of="publisher.succeeds",
        replace="LAYER_SECONDS",
        by="None",
        fails="test_a_redis_that_says_nothing_holds_nobody_up[asleep]",
    ),
    Mutation(
        fault="Redis loses its data (FLUSHALL)",
        of="settings.CHANNEL_LAYERS",
        replace="'channels_redis.pubsub.RedisPubSubChannelLayer'",
        by="'channels_redis.core.RedisChannelLayer'",
        fails="test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[forget]",
    ),
    Mutation(
        fault="Redis closes the connections of its subscribers",
        of="Hub._dispatch",
        replace="""if feed is not None and feed.loaded.is_set() and (not feed.apply(message)):
    self._start(self._catch_up(feed))""",
        by="""if feed is not None and feed.loaded.is_set():
    feed.apply(message)""",
        fails="test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[kill_subscribers]",
    ),
    Mutation(
        fault="Redis is out of memory",
        of="settings.CHANNEL_LAYERS",
        replace="'channels_redis.pubsub.RedisPubSubChannelLayer'",
        by="'channels_redis.core.RedisChannelLayer'",
        fails="test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[fill]",
    ),
    Mutation(
        fault="The network to Redis is cut",
        of="publisher.succeeds",
        replace="Exception",
        by="ValueError",
        fails="test_whatever_the_way_to_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[cut]",
    ),
    Mutation(
        fault="The network to Redis goes silent: starting, cancelling and ending jobs does not wait for it",
        of="publisher.succeeds",
        replace="LAYER_SECONDS",
        by="None",
        fails="test_a_redis_that_says_nothing_holds_nobody_up[half_open]",
    ),
    Mutation(
        fault="The network to Redis goes silent: viewers read finals from the database",
        of="Hub._poll",
        replace="feed.is_behind(row)",
        by="False",
        fails="test_a_redis_that_says_nothing_holds_nobody_up[half_open]",
    ),
    Mutation(
        fault="The network to Redis is slow",
        of="Outbox.put",
        remove="""if self._messages.full():
    self._messages.get_nowait()""",
        fails="test_whatever_the_way_to_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[slow]",
    ),
    Mutation(
        fault="The network to Redis passes one byte at a time",
        of="Hub._receive",
        replace="self._dispatch(await layer.receive(self._channel))",
        by="await layer.receive(self._channel)",
        fails="test_whatever_the_way_to_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it[crumble]",
    ),
]
