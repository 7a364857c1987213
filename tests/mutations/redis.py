"""Redis, and the network to it."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="Redis restarts",
        of="publisher.succeeds",
        replace="Exception",
        by="ValueError",
        fails="test_job_and_viewers_survive_a_fault_of_redis[restart]",
    ),
    Mutation(
        fault="Redis does not answer for some seconds (DEBUG SLEEP)",
        of="publisher.succeeds",
        replace="LAYER_SECONDS",
        by="None",
        fails="test_unresponsive_redis_delays_neither_jobs_nor_viewers[asleep]",
    ),
    Mutation(
        fault="Redis loses its data (FLUSHALL)",
        of="settings.CHANNEL_LAYERS",
        replace="'channels_redis.pubsub.RedisPubSubChannelLayer'",
        by="'channels_redis.core.RedisChannelLayer'",
        fails="test_job_and_viewers_survive_a_fault_of_redis[forget]",
    ),
    Mutation(
        fault="Redis closes the connections of its subscribers",
        of="Hub._dispatch",
        replace="""if feed is not None and feed.loaded.is_set() and (not feed.apply(message)):
    self._start(self._catch_up(feed))""",
        by="""if feed is not None and feed.loaded.is_set():
    feed.apply(message)""",
        fails="test_job_and_viewers_survive_a_fault_of_redis[kill_subscribers]",
    ),
    Mutation(
        fault="Redis is out of memory",
        of="settings.CHANNEL_LAYERS",
        replace="'channels_redis.pubsub.RedisPubSubChannelLayer'",
        by="'channels_redis.core.RedisChannelLayer'",
        fails="test_job_and_viewers_survive_a_fault_of_redis[fill]",
    ),
    Mutation(
        fault="The network to Redis is cut",
        of="publisher.succeeds",
        replace="Exception",
        by="ValueError",
        fails="test_job_and_viewers_survive_a_fault_of_the_network_to_redis[cut]",
    ),
    Mutation(
        fault="The network to Redis goes silent: starting, cancelling and ending jobs does not wait for it",
        of="publisher.succeeds",
        replace="LAYER_SECONDS",
        by="None",
        fails="test_unresponsive_redis_delays_neither_jobs_nor_viewers[half_open]",
    ),
    Mutation(
        fault="The network to Redis goes silent: viewers read finals from the database",
        of="Hub._poll",
        replace="feed.is_behind(row)",
        by="False",
        fails="test_unresponsive_redis_delays_neither_jobs_nor_viewers[half_open]",
    ),
    Mutation(
        fault="The network to Redis is slow",
        of="Outbox.put",
        remove="""if self._messages.full():
    self._messages.get_nowait()""",
        fails="test_job_and_viewers_survive_a_fault_of_the_network_to_redis[slow]",
    ),
    Mutation(
        fault="The network to Redis passes one byte at a time",
        of="Hub._receive",
        replace="self._dispatch(await layer.receive(self._channel))",
        by="await layer.receive(self._channel)",
        fails="test_job_and_viewers_survive_a_fault_of_the_network_to_redis[crumble]",
    ),
]
