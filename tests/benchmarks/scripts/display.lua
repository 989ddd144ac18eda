-- Requests one display after another, each with the session of another citizen; with `new`, each on a connection of its
-- own.
dofile("tests/benchmarks/scripts/requests.lua")

function init(args)
    local connection = args[2] == "new" and "close" or nil
    for session in io.lines(args[1]) do
        requests[#requests + 1] =
            wrk.format("GET", "/v1/display", { ["Authorization"] = "Bearer " .. session, ["Connection"] = connection })
    end
end
