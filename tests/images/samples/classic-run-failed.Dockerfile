FROM flowpack-test-base:bookworm AS dependencies
# kept apart, so that a change of the flow leaves the cache alone
RUN  \
    echo Collecting flask && sleep 1.2 && \
    echo Installing collected packages: flask >&2
FROM dependencies
COPY hello.txt /flow/hello.txt
RUN echo "looking for flask" && \
    echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2; exit 3
