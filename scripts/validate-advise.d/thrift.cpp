/* A Thrift server that answers `ping`: a thread for each connection (TThreadedServer), or one event loop
 * (TNonblockingServer with one thread for input and output, in which calls are made too). Both are framed. The calls
 * are handled by hand, so that no code has to be generated. For scripts/validate-advise. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <thrift/TProcessor.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TNonblockingServer.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TNonblockingServerSocket.h>
#include <thrift/transport/TServerSocket.h>

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::server;
using namespace apache::thrift::transport;

class Ping : public TProcessor {
public:
    bool process(std::shared_ptr<TProtocol> in, std::shared_ptr<TProtocol> out, void *) override
    {
        std::string name;
        TMessageType type;
        int32_t number;
        in->readMessageBegin(name, type, number);
        in->skip(T_STRUCT);
        in->readMessageEnd();
        in->getTransport()->readEnd();
        out->writeMessageBegin(name, T_REPLY, number);
        out->writeStructBegin("ping_result");
        out->writeFieldStop();
        out->writeStructEnd();
        out->writeMessageEnd();
        out->getTransport()->writeEnd();
        out->getTransport()->flush();
        return true;
    }
};

int main(int argc, char **argv)
{
    if (argc < 3)
        return std::fprintf(stderr, "thrift threads|epoll PORT\n"), 2;
    int port = std::atoi(argv[2]);
    auto ping = std::make_shared<Ping>();
    auto protocol = std::make_shared<TBinaryProtocolFactory>();
    if (!std::strcmp(argv[1], "epoll")) {
        TNonblockingServer(ping, protocol, std::make_shared<TNonblockingServerSocket>(port)).serve();
    } else {
        auto transport = std::make_shared<TFramedTransportFactory>();
        TThreadedServer(ping, std::make_shared<TServerSocket>(port), transport, protocol).serve();
    }
    return 0;
}
