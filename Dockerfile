# syntax=docker/dockerfile:1
# The program's image: see docs/image.md for how it is built, signed and pushed.
#
# BASE is a slim Python on Debian, named by its digest; there is no default, for a tag can come to mean another image:
#   docker build --build-arg BASE=python:3.13-slim-trixie@sha256:... .
ARG BASE

# PostgreSQL's signing key as Debian ships and signs it, so that nothing is trusted because a web server said so.
# hadolint ignore=DL3006
FROM ${BASE} AS key
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-common \
    && rm -rf /var/lib/apt/lists/*

# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-run.lock requirements-build.lock ./
# Wheels alone, each by its hash: nothing is compiled, and nothing but the lock is installed.
RUN python -m venv /build/tools \
    && /build/tools/bin/python -m pip install \
        --no-deps --require-hashes --only-binary :all: --requirement requirements-build.lock \
    && python -m venv --without-pip /opt/tenantctl \
    && /build/tools/bin/python -m pip --python /opt/tenantctl/bin/python install \
        --no-deps --require-hashes --only-binary :all: --requirement requirements-run.lock
COPY . .
RUN /build/tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheel . \
    && /build/tools/bin/python -m pip --python /opt/tenantctl/bin/python install --no-deps --no-index /build/wheel/*.whl \
    && /build/tools/bin/cyclonedx-py environment --output-format JSON --output-file /opt/tenantctl/sbom.cdx.json \
        /opt/tenantctl/bin/python

# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tenantctl" \
      org.opencontainers.image.description="Keeps the promises made about customers' databases on Google Cloud, and proves it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=key /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc /usr/share/keyrings/postgresql.asc
# hadolint ignore=DL3008
RUN . /etc/os-release \
    && echo "deb [signed-by=/usr/share/keyrings/postgresql.asc] https://apt.postgresql.org/pub/repos/apt ${VERSION_CODENAME}-pgdg main" \
        > /etc/apt/sources.list.d/postgresql.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-client-18=18.* \
    && rm -rf /var/lib/apt/lists/* \
    && rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
COPY --from=build /opt/tenantctl /opt/tenantctl
ENV PATH=/opt/tenantctl/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TENANTCTL_PG_BINDIR=/usr/lib/postgresql/18/bin
WORKDIR /tmp
# Nobody's: a number, so that a platform can see that it is not root.
USER 65532:65532
ENTRYPOINT ["tenantctl"]
CMD ["--help"]
