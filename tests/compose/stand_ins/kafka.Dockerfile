# A stand-in for apache/kafka: the same Kafka, from its jars, with the same paths and variables. The class that turns
# variables into properties is that of the original image.
FROM kafka-base
RUN useradd --uid 1000 --user-group --no-create-home kafka \
    && install --directory --owner=kafka --group=kafka /opt/kafka/config /opt/kafka/logs \
        /var/lib/kafka/data /etc/kafka/secrets /mnt/shared/config
COPY log4j2.yaml /etc/kafka/docker/log4j2.yaml
COPY log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml
COPY kafka-run /etc/kafka/docker/run
COPY jars /opt/kafka/libs
USER kafka
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
CMD ["/etc/kafka/docker/run"]
