import java.io.IOException;
import java.io.InputStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.ThreadFactory;

/**
 * An echo server with a thread for each connection: one of the platform, or a virtual one. Compiles for Java 17, from
 * which virtual threads are reached by their name; `virtual` needs 24 or later, before which a virtual thread in a
 * synchronized block keeps its carrier. For scripts/validate-advise.
 */
public class Echo {
    private static ThreadFactory virtual() throws ReflectiveOperationException {
        Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
        return (ThreadFactory) Class.forName("java.lang.Thread$Builder").getMethod("factory").invoke(builder);
    }

    private static void serve(Socket socket) {
        try (socket) {
            socket.setTcpNoDelay(true);
            InputStream in = socket.getInputStream();
            byte[] bytes = new byte[4096];
            for (int got; (got = in.read(bytes)) > 0; ) {
                socket.getOutputStream().write(bytes, 0, got);
            }
        } catch (IOException gone) {
            // The client has left.
        }
    }

    public static void main(String[] arguments) throws Exception {
        ThreadFactory threads = arguments[0].equals("virtual") ? virtual() : Thread::new;
        try (ServerSocket listener = new ServerSocket(Integer.parseInt(arguments[1]), 4096)) {
            while (true) {
                Socket socket = listener.accept();
                threads.newThread(() -> serve(socket)).start();
            }
        }
    }
}
