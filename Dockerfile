# The embedded service in one image: the api, the signer and the worker as one user, so no key isolation.
# An image per process, and PostgreSQL with S3, come with the issue "An index that is only a cache".
FROM python:3.13-slim
WORKDIR /app
COPY requirements/server.txt requirements/server.txt
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/server.txt \
    && useradd --system --uid 10001 --no-create-home custody \
    && install -d -o custody -g custody -m 0700 /data
COPY LICENSE pyproject.toml ./
COPY artifacts artifacts
COPY provenance provenance
COPY migrations migrations
COPY api api
# The work tree is read-only later, so what Python would write beside it is written now.
RUN python -m compileall -q artifacts provenance migrations api
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["python", "-m", "api.commands"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8080"]
