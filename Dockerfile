# syntax=docker/dockerfile:1
# Built in one stage, run from another: the image carries no compiler, no pip cache and no root.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/quorum
COPY deploy deploy
# The versions and hashes of deploy/locks: what builds the wheel goes into this stage, what runs it into the image.
RUN pip install --no-cache-dir --require-hashes -r deploy/locks/build.txt \
 && /opt/quorum/bin/pip install --no-cache-dir --require-hashes -r deploy/locks/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY adapters adapters
COPY healthcheck healthcheck
COPY router router
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/quorum/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/quorum --create-home quorum
COPY --from=build /opt/quorum /opt/quorum
COPY registry.yaml /etc/quorum/registry.yaml
ENV PATH=/opt/quorum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QUORUM_REGISTRY=/etc/quorum/registry.yaml \
    QUORUM_DATA_DIR=/var/lib/quorum \
    QUORUM_HOST=0.0.0.0
USER quorum
EXPOSE 8080
VOLUME /var/lib/quorum
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-m", "healthcheck"]
# Without DATABASE_URL and REDIS_URL the stores are embedded, in the volume. Callers need no key, so listening beyond loopback asks for
# QUORUM_INSECURE=1: set it where the port is published to trusted callers only.
CMD ["quorum", "serve"]
