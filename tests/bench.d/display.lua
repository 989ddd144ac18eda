-- Asks for one display after another, each with the session of another citizen.
dofile("tests/bench.d/requests.lua")

function init(args)
    for session in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", "/v1/display", { ["Authorization"] = "Bearer " .. session })
    end
end
