-- Asks for one display after another, each with the session of another citizen. The requests are prepared once, so that building
-- them costs the same (nearly nothing) whatever server answers.
local requests, at = {}, 0

function init(args)
    for session in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", "/v1/display", { ["Authorization"] = "Bearer " .. session })
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

dofile("tests/bench.d/report.lua")
